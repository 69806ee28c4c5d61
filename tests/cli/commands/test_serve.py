"""`roadworthy serve` holds the directory, answers, and leaves in order."""

from __future__ import annotations

import json
import signal
import urllib.request


def ready(server):
    with urllib.request.urlopen(f"{server.address().url}/v2/health/ready") as answer:
        return answer.status == 200


def test_a_second_server_is_refused_and_the_first_stays_up(served, spawn):
    told = spawn("serve", "--project", served.spec.root, "--port", "0", "--json")
    assert told.code == 2
    assert f"process {served.process.pid}" in told.err
    assert f"process {served.process.pid}" in told.body["error"]
    assert ready(served)
    assert served.address().pid == served.process.pid


def test_plain_json_is_answered_and_recorded(served, state):
    row = {"radius": 14.0, "texture": None, "smoothness": 0.1}
    body = json.dumps({"id": "by-hand", "rows": [row]}).encode()
    asked = urllib.request.Request(f"{served.address().url}/predict", body, {"content-type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        assert answer.status == 200
    (record,) = state.records.get("by-hand")
    assert (record.inputs, record.error) == ({**row}, None)


def test_a_signal_ends_it_in_order(served):
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0
    assert served.address() is None


def test_a_project_without_a_release_is_refused(clinic, call):
    told = call("serve", "--project", clinic, "--port", "0")
    assert told.code == 2
    assert "clinic" in told.err


def test_a_port_in_use_is_refused(served, released, spawn, tmp_path):
    other = tmp_path / "other"
    import shutil

    shutil.copytree(released, other)
    told = spawn("serve", "--project", other, "--port", served.address().port)
    assert (told.code, "cannot listen on" in told.err) == (2, True)
