"""What becomes of contestants that answer, answer wrongly, do not start, or cannot be installed."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from serving.contestants.base import Absent, Needs, Start, python_of
from serving.contestants.constant import CONSTANT
from serving.models import Model, write_model
from serving.rounds import CONNECTIONS, Results, measure


def ends_at_once(python: str, model: Model, folder: Path, port: int) -> Start:
    return Start([python, "-c", "import sys; sys.exit('no licence')"])


def tells_its_pid(python: str, model: Model, folder: Path, port: int) -> Start:
    start = CONSTANT.start(python, model, folder, port)
    return Start(["sh", "-c", f"echo $$ > pid; exec {' '.join(start.command)}"])


SILENT = replace(CONSTANT, name="silent", start=ends_at_once)
MORTAL = replace(CONSTANT, name="mortal", start=tells_its_pid)
WRONG = replace(CONSTANT, name="wrong", says=lambda scores: scores, scores=lambda answer: [0.0] * 10)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return write_model("small", tmp_path)


def test_those_who_answer_are_measured_and_the_others_are_absent_with_their_reason(model, tmp_path):
    results = Results()
    contestants = [(one, sys.executable) for one in (CONSTANT, SILENT, WRONG)]
    measure(results, model, contestants, tmp_path, 2, 0.05, lambda what: None, idle_seconds=0.1)
    assert {key: len(samples) for key, samples in results.samples.items()} == {
        ("small", "constant", n): 2 for n in CONNECTIONS
    }
    assert all(sample.requests > 0 for samples in results.samples.values() for sample in samples)
    assert len(results.ceilings["small"]) == 2
    assert results.still["small", "constant"].usage.processes == 1
    assert set(results.absent) == {("small", "silent"), ("small", "wrong")}
    assert "exit code 1" in results.absent["small", "silent"]
    assert "no licence" in results.absent["small", "silent"]
    assert "answers row 0" in results.absent["small", "wrong"]


def test_a_server_that_dies_between_two_rounds_is_absent_and_the_others_go_on(model, tmp_path):
    results = Results()

    def kill_before_round_two(what: str) -> None:
        if "round 2 of 2, mortal" in what:
            os.kill(int((tmp_path / "small" / "mortal" / "pid").read_text()), signal.SIGKILL)

    contestants = [(one, sys.executable) for one in (MORTAL, CONSTANT)]
    measure(results, model, contestants, tmp_path, 2, 0.05, kill_before_round_two, idle_seconds=0.1)
    assert set(results.absent) == {("small", "mortal")}
    assert "failed under load: Connection" in results.absent["small", "mortal"]
    assert len(results.samples["small", "constant", 64]) == 2


def test_a_peer_that_pip_cannot_install_is_absent_with_what_pip_said(tmp_path):
    needs = Needs("nowhere", (str(tmp_path / "no such project"),))
    with pytest.raises(Absent, match="no such project"):
        python_of(replace(CONSTANT, needs=needs), tmp_path)
