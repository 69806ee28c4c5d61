"""Taking a release back tells whom the project names, and leaves a report."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from roadworthy.store.events import read_events


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict]]]:
    """The address of a webhook, and what it was told."""
    told: list[dict] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the screen."""

    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", told
    server.shutdown()
    server.server_close()


@pytest.fixture
def second(call, released, rewrite, hook) -> str:
    """A second release that was promoted by hand."""
    rewrite("monitor: {", f"monitor: {{webhook: '{hook[0]}', ")
    rewrite("  engine: onnx", "  engine: {onnx: {threads: 2}}")
    digest = call("release", "--project", released, "--json").body["digest"]
    assert call("rollout", "start", digest, "--project", released).code == 3
    assert call("rollout", "promote", "--why", "in a hurry", "--project", released).code == 0
    return str(digest)


def test_a_return_to_what_was_before_is_an_incident_with_a_report(call, released, state, hook, second):
    done = call("rollout", "rollback", "--by", "ada", "--why", "users complain", "--project", released)
    assert (done.code, "users complain" in done.out) == (0, True), done.err
    until = time.monotonic() + 10
    while not hook[1] and time.monotonic() < until:
        time.sleep(0.02)
    assert "users complain" in json.dumps(hook[1])
    (incident,) = read_events(state.engine, "incident", "clinic")
    report = released / ".roadworthy" / "incidents" / f"{incident.data['id']}.md"
    assert str(report) in json.dumps(hook[1])
    text = report.read_text()
    assert "users complain" in text
    assert "threads" in text
    shown = call("rollout", "report", "--project", released)
    assert shown.out.strip() == text.strip()
    assert call("rollout", "report", "ffff", "--project", released).code == 2


def test_what_was_taken_back_is_not_tried_again_without_a_reason(call, released, second):
    call("rollout", "rollback", "--why", "users complain", "--project", released)
    again = call("rollout", "start", second, "--project", released)
    assert (again.code, "was rolled back before" in again.err) == (2, True)
    assert call("rollout", "start", second, "--override", "it was the network", "--project", released).code == 3
    assert "it was the network" in call("audit", "--json", "--project", released).out


def test_a_rollout_is_paused_and_goes_on(call, released, rewrite):
    rewrite("  engine: onnx", "  engine: {onnx: {threads: 2}}")
    digest = call("release", "--project", released, "--json").body["digest"]
    call("rollout", "start", digest, "--project", released)
    paused = call("rollout", "pause", "--why", "holiday", "--project", released, "--json")
    assert "holiday" in paused.body["paused"]
    assert call("rollout", "resume", "--project", released, "--json").body.get("paused", "") == ""


def test_an_edited_plan_is_refused_while_it_runs(call, released, rewrite):
    rewrite("  engine: onnx", "  engine: {onnx: {threads: 2}}")
    digest = call("release", "--project", released, "--json").body["digest"]
    call("rollout", "start", digest, "--project", released)
    rewrite("margin: 0.2", "margin: 0.9")
    told = call("rollout", "status", "--project", released)
    assert (told.code, "was edited" in told.err) == (2, True)
    rewrite("margin: 0.9", "margin: 0.2")
    assert call("rollout", "status", "--project", released).code == 3


def test_a_rollout_is_planned_from_stated_figures(call, released):
    stated = ("--requests-per-hour", "2000", "--error-rate", "0.001", "--base-rate", "0.3")
    told = call("rollout", "plan", *stated, "--project", released, "--json")
    assert told.code == 0, told.err
    assert len(told.body["stages"]) == 2
    assert "state all of" in call("rollout", "plan", "--error-rate", "0.1", "--project", released).err
    assert "`--requests-per-hour`" in call("rollout", "plan", "--project", released).err
