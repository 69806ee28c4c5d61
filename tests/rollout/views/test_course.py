"""How evidence narrowed, and what that says of the time left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pytest

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.spec import Rollout, Stage
from roadworthy.core.window import Window
from roadworthy.rollout.control.followed import Rows
from roadworthy.rollout.gates.errors import Errors
from roadworthy.rollout.gates.quality import Quality
from roadworthy.rollout.planning.replays import twins
from roadworthy.rollout.planning.stated_traffic import stated_traffic
from roadworthy.rollout.rollout_state import RolloutState
from roadworthy.rollout.views.course import course, courses, judged, soonest, times_as_many

HOUR = 3600.0
BOUNDS = {"allowed": 0.01}


@pytest.fixture(scope="module")
def arms() -> tuple[Window, Window]:
    rows = stated_traffic(100, 0.01, 0.2, np.random.default_rng(0), until=1e6, label_delay_hours=3.0, days=4)
    return twins(rows, 0.5, False, np.random.default_rng(0))


def test_an_interval_narrows_as_rows_come(arms: tuple[Window, Window]) -> None:
    found = course(Errors(), *arms, looks=8)
    assert len(found) == 8
    assert found[-1] == judged(Errors()(*arms))
    counts = [m.n for m in found]
    assert counts == sorted(counts)
    assert counts[0] < 0.1 * counts[-1]
    assert found[-1].high - found[-1].low < (found[1].high - found[1].low) / 2


def test_looks_before_there_was_anything_are_left_out_and_labels_come_late(arms: tuple[Window, Window]) -> None:
    @dataclass(frozen=True)
    class Labels:
        def __call__(self, control: Window, candidate: Window) -> Verdict:
            n = int((~np.isnan(candidate.labels)).sum())
            shown = (Measurement("gap", 0.0, n, -0.1, 0.1, conditions=BOUNDS),) if n else ()
            return Verdict("wait", "", evidence=shown)

    labelled = int((~np.isnan(arms[1].labels)).sum())
    found = course(Labels(), *arms, looks=40)
    assert len(found) < 40
    assert found[-1].n == labelled
    late = 3 * HOUR
    assert found[-2].n <= int((arms[1].at <= arms[1].at[-1] - late).sum())


def test_nothing_to_draw_is_no_course(arms: tuple[Window, Window]) -> None:
    nothing = Window.of_all(())
    assert course(Errors(), nothing, nothing) == ()
    assert course(Quality(output="missing"), *arms) == ()


def test_of_several_intervals_the_surest_counts_and_evidence_where_there_is_none() -> None:
    wide, sure = (Measurement("gap", 0.0, 9, -w, w, where=str(w), conditions=BOUNDS) for w in (0.5, 0.1))
    odds = Measurement("evidence", 3.0, 9, conditions={"enough": 20.0})
    assert judged(Verdict("wait", "", evidence=(wide, odds, sure))) == sure
    assert judged(Verdict("wait", "", evidence=(odds,))) == odds
    assert judged(Verdict("wait", "")) is None


@pytest.mark.parametrize(
    ("value", "high", "n", "times"),
    [
        (0.0, 0.02, 1000, 4.0),
        (0.0, 0.005, 10, 1.0),
        (0.0, 0.02, 40, None),
        (0.011, 0.02, 1000, None),
        (0.0099, 0.02, 1000, None),
        (0.0, float("inf"), 1000, None),
    ],
)
def test_the_rows_still_needed_follow_from_the_width(value: float, high: float, n: int, times: float | None) -> None:
    m = Measurement("gap", value, n, -high, high, conditions=BOUNDS)
    assert times_as_many(m) == (None if times is None else pytest.approx(times))
    assert soonest(Verdict("wait", "", evidence=(m,))) == times_as_many(m)


def test_each_signal_is_asked_about_the_rows_that_it_judges(arms: tuple[Window, Window]) -> None:
    @dataclass(frozen=True)
    class Counts:
        rows_since: ClassVar[Literal["stage", "rollout"]] = "stage"

        def __call__(self, control: Window, candidate: Window) -> Verdict:
            return Verdict("wait", "", evidence=(Measurement("gap", 0.0, candidate.n, -1, 1, conditions=BOUNDS),))

    @dataclass(frozen=True)
    class CountsAll(Counts):
        rows_since: ClassVar[Literal["stage", "rollout"]] = "rollout"

    part = [rows.take(slice(0, 50)) for rows in arms]
    state = RolloutState("i", "d", "c" * 64, "s" * 64, Rollout((Stage("shadow"),), ("a", "b", "c")), 0.0, 0.0, "anna")
    gates = (Counts(), Counts(), CountsAll())
    found = courses(_asked(state), gates, Rows(*arms, *part, 0), looks=3)
    assert {place: points[-1].n for place, points in found.items()} == {1: 50, 2: arms[1].n}


def _asked(state: RolloutState) -> RolloutState:
    from msgspec.structs import replace as changed

    return changed(state, asked=(1, 2))


def test_a_course_leaves_the_rows_as_they_are(arms: tuple[Window, Window]) -> None:
    before = replace(arms[1], labels=arms[1].labels.copy())
    course(Errors(), *arms, looks=3)
    assert np.array_equal(arms[1].labels, before.labels, equal_nan=True)
