"""A real server with asynchronous jobs is killed again and again: every accepted job is done once, by its key."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from roadworthy.testing.job_deaths import Tally, torture
from roadworthy.testing.job_server import PORT_FILE


@pytest.mark.slow
def test_ten_deaths_lose_and_double_no_job(tmp_path: Path) -> None:
    tally = torture(tmp_path, kills=10, seed=7)
    assert tally.faults == []
    assert tally.kills == 10
    assert len(tally.accepted) > 50
    assert tally.again  # or no kill hit a job, and nothing was shown


def test_the_tally_finds_a_doubled_a_changed_and_a_failed_job() -> None:
    tally = Tally()
    tally.accept("key", "a")
    tally.accept("key", "b")
    done = {"state": "done", "attempts": 1}
    assert tally.see("a", {**done, "result": {"rows": [{"draw": 1.0}]}})
    assert tally.see("a", {**done, "result": {"rows": [{"draw": 2.0}]}})
    assert not tally.see("b", {"state": "dead", "error": "why"})
    assert [fault.split("'")[1] for fault in tally.faults] == ["key", "a", "b"]


def ask(port: str, path: str, x: float | None = None) -> Any:
    body = None if x is None else json.dumps({"rows": [{"x": x}]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Prefer": "respond-async"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_a_job_that_kills_its_server_is_dead_in_the_end_and_takes_nobody_along(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "roadworthy.testing.job_server", str(tmp_path), "sqlite:attempts=3", "0"]
    port_file = tmp_path / PORT_FILE
    jobs: list[str] = []
    for life in range(4):
        port_file.unlink(missing_ok=True)
        process = subprocess.Popen(command)
        while not port_file.exists():
            time.sleep(0.01)
        if life == 0:
            port = port_file.read_text()
            jobs = [ask(port, "/predict", x)["location"] for x in (1.0, -1.0)]
        if life < 3:
            assert process.wait(60) == -9
    assert len(jobs) == 2
    found = [ask(port_file.read_text(), f"{job}?wait=30") for job in jobs]
    process.terminate()
    process.wait(60)
    assert [(job["state"], job["attempts"] <= 2) for job in found] == [("done", True), ("dead", False)]
    assert "3 attempts" in found[1]["error"]
