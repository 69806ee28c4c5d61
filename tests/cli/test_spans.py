"""The stretch that a command looks at, and the last rows of a log, however sparse it is."""

from __future__ import annotations

import argparse

import pytest

from roadworthy.cli.spans import clock_of, last_rows, stretch_of, stretch_options
from roadworthy.core.errors import BadRequest
from roadworthy.core.record import Record
from roadworthy.store.state import State

DAY = 86_400.0


@pytest.fixture
def state(tmp_path):
    """Rows of two releases, ever farther apart."""
    with State.open(tmp_path / "state", "process") as opened:
        opened.records.write(
            [Record(f"r{k}", 1e9 - 4.0**k, ("even", "odd")[k % 2], "stable", {"x": k}, {}) for k in range(12)]
        )
        yield opened


def options(*words):
    parser = argparse.ArgumentParser()
    stretch_options(parser, 7.0)
    return parser.parse_args(words)


@pytest.mark.parametrize("most", [1, 5, 12, 50])
def test_the_last_rows_are_found_however_far_back_they_lie(state, most):
    assert [r.inputs["x"] for r in last_rows(state.records, most)] == list(range(min(most, 12)))[::-1]


def test_the_last_rows_of_one_release(state):
    assert [r.inputs["x"] for r in last_rows(state.records, 3, "odd")] == [5, 3, 1]
    assert last_rows(state.records, 3, "none") == []


def test_a_log_of_another_time_has_its_own_clock(state):
    assert clock_of(state) == 1e9 - 1 + 1
    assert stretch_of(options(), state) == (1e9 - 7 * DAY, 1e9, 1e9)
    assert stretch_of(options("--days", "2"), state).since == 1e9 - 2 * DAY


def test_times_may_be_typed(state):
    found = stretch_of(options("--from", "2h ago", "--to", "1h ago"), state)
    assert (found.since, found.until) == (1e9 - 7200, 1e9 - 3600)
    assert stretch_of(options("--to", "1d ago"), state).until == 1e9 - DAY
    with pytest.raises(BadRequest, match="Mars"):
        stretch_of(options("--from", "03:00", "--zone", "Mars"), state)
