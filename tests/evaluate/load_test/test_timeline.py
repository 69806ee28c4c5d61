from __future__ import annotations

import numpy as np
import pytest

from roadworthy.evaluate.load_test.timeline import Timeline

NAN = float("nan")


def timeline(scheduled: bool = True) -> Timeline:
    """One answered at once, one streamed and slow, one refused quickly, one given up and one dropped."""
    return Timeline(
        due=np.array([0.0, 1.0, 2.0, 3.0, 4.0]) if scheduled else np.full(5, NAN),
        sent=np.array([0.5, 1.5, 2.5, 3.5, NAN]),
        first=np.array([NAN, 3.0, NAN, NAN, NAN]),
        done=np.array([0.5, 8.0, NAN, NAN, NAN]),
        over=np.array([0.5, 8.0, 2.75, NAN, NAN]),
        failure=np.array(["", "", "Refused", "silent", "silent"], dtype=object),
        seconds=5.0,
    )


def test_latency_is_from_the_schedule_and_infinite_for_a_failure() -> None:
    assert timeline().latencies.tolist() == [0.5, 7.0, np.inf, np.inf, np.inf]
    assert timeline().first_latencies[1] == 2.0


def test_without_a_schedule_it_is_from_the_sending() -> None:
    closed = timeline(scheduled=False)
    assert not closed.scheduled
    assert closed.latencies.tolist() == [0.0, 6.5, np.inf, np.inf, np.inf]
    assert closed.first_latencies[1] == 1.5
    assert closed.lags.tolist() == []


def test_only_what_was_sent_can_be_late() -> None:
    assert timeline().lags.tolist() == [0.5] * 4


def test_failures_are_counted_by_reason() -> None:
    assert timeline().failed == 3
    assert list(timeline().failures.items()) == [("silent", 2), ("Refused", 1)]


def test_the_run_ends_with_its_last_answer() -> None:
    assert timeline().ended == 8.0


def test_one_that_nobody_serves_waits_until_the_end() -> None:
    assert timeline().waits.tolist() == [0.5, 7.0, 0.75, 5.0, 4.0]


@pytest.mark.parametrize(("second", "flying"), [(0.25, 1), (0.75, 0), (2.5, 2), (2.9, 1), (4.5, 3), (9.0, 2)])
def test_in_flight_is_due_and_not_over(second: float, flying: int) -> None:
    assert timeline().in_flight(np.array([second])).tolist() == [flying]


def test_an_empty_run_is_no_error() -> None:
    none = np.empty(0)
    empty = Timeline(none, none, none, none, none, none.astype(object), 3.0)
    assert (empty.n, empty.ended, empty.failures, empty.scheduled) == (0, 3.0, {}, False)
