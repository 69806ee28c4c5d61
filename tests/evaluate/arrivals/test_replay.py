from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.evaluate.arrivals.replay import Replay
from roadworthy.evaluate.base import arrivals
from roadworthy.evaluate.load_test.traces import cv, peak

BURSTS = Replay.example()


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("speed", [0.1, 1.0, 40.0])
def test_bursts_stay_as_strong_at_any_rate(speed: float) -> None:
    trace = BURSTS.trace()
    due = BURSTS(speed * trace.rate, trace.n / trace.rate / speed, rng())
    assert len(due) == trace.n
    assert due * speed == pytest.approx(trace.at)
    assert cv(due).value == pytest.approx(cv(trace.at).value)
    assert peak(due, 1 / speed).value == pytest.approx(peak(trace.at).value, rel=0.11)


def test_a_trace_that_is_too_short_begins_again_with_the_usual_gap() -> None:
    due = Replay(times=(5.0, 6.0, 8.0))(1.0, 9.0, rng())
    assert due == pytest.approx([0, 2 / 3, 2, 3, 3 + 2 / 3, 5, 6, 6 + 2 / 3, 8])


def test_a_short_run_is_the_beginning_of_the_trace() -> None:
    assert BURSTS(BURSTS.trace().rate, 5.0, rng()) == pytest.approx(np.arange(10) / 10)


def test_a_plan_names_a_file(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(
        "Timestamp,Session ID,Request tokens,Response tokens\n" + "".join(f"{k},{k // 4},7,9\n" for k in range(400))
    )
    made = arrivals.make(f"replay:path={path},sessions=0.5")
    trace = made.trace()
    assert 120 < trace.n < 280
    assert trace.n % 4 == 0
    assert trace.requests[3].output_tokens == 9
    assert made.trace() == trace
    assert len(made(10, trace.n / 10, rng())) == trace.n


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs a `path` or `times`"),
        ({"path": "a", "times": (1.0,)}, "and not both"),
        ({"times": (1.0, 2.0), "sessions": 0}, "`sessions` must be above 0 and at most 1, got 0"),
    ],
)
def test_settings_that_name_no_trace_are_refused(settings: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Replay(**settings)


def test_times_without_sessions_cannot_be_sampled() -> None:
    with pytest.raises(BadData, match="no sessions to choose from"):
        Replay(times=(1.0, 2.0), sessions=0.5)(1, 1, rng())
