"""Chores are done in their own time, once across restarts, and one that fails stops no other."""

from __future__ import annotations

import logging
from threading import Event

import pytest

from roadworthy.cli.tending import Chore, Tender, tend_until, the_only_one
from roadworthy.core.errors import Taken
from roadworthy.store.events import read_events
from roadworthy.store.state import State


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / "state", "process") as opened:
        yield opened


def noting(done, name, every):
    return Chore(name, every, lambda now: done.append((name, now)))


def test_each_chore_is_done_in_its_own_time(state):
    done = []
    tender = Tender(state, [noting(done, "count", 60), noting(done, "retain", 3600)])
    for now in range(0, 301, 60):
        tender.turn(float(now))
    assert [at for name, at in done if name == "count"] == [0, 60, 120, 180, 240, 300]
    assert [at for name, at in done if name == "retain"] == [0]


def test_a_restart_does_not_do_again_what_is_not_due(state):
    done = []
    for now in (0.0, 30.0, 61.0):
        Tender(state, [noting(done, "count", 60)]).turn(now)
    assert [at for _, at in done] == [0.0, 61.0]


def test_a_clock_that_was_set_back_holds_no_chore_up(state):
    done = []
    tender = Tender(state, [noting(done, "count", 60)])
    tender.turn(1_000_000.0)
    tender.turn(500.0)
    assert [at for _, at in done] == [1_000_000.0, 500.0]


def test_a_chore_that_fails_is_told_once_and_stops_no_other(state, caplog):
    def broken(now):
        raise OSError("the collector is away")

    done = []
    tender = Tender(state, [Chore("traces", 60, broken), noting(done, "count", 60)])
    with caplog.at_level(logging.CRITICAL):
        first, _ = tender.turn(0.0)
        tender.turn(60.0)
    assert first.error == "OSError: the collector is away"
    assert len(done) == 2
    assert [event.subject for event in read_events(state.engine, kind="chore_failed")] == ["traces"]


def test_another_failure_is_told_again(state, caplog):
    reasons = iter(["away", "away", "full"])

    def broken(now):
        raise OSError(next(reasons))

    tender = Tender(state, [Chore("traces", 60, broken)])
    with caplog.at_level(logging.CRITICAL):
        for now in (0.0, 60.0, 120.0):
            tender.turn(now)
    told = [event.data["error"] for event in read_events(state.engine, kind="chore_failed")]
    assert told == ["OSError: away", "OSError: full"]


def test_what_a_chore_says_is_told(state):
    assert Tender(state, [Chore("seal", 1, lambda now: "sealed 5 rows")]).turn(0.0)[0].told == "sealed 5 rows"


def test_tending_ends_with_whoever_it_is_for(state):
    turns, told = iter([False, False, True]), []
    tender = Tender(state, [Chore("seal", 0, lambda now: "did")])
    tend_until(Event(), tender, 0.0, told.append, lambda: 0.0, lambda: next(turns))
    assert [done.told for done in told] == ["did", "did"]


def test_only_one_process_tends_a_directory(tmp_path):
    with the_only_one(tmp_path), pytest.raises(Taken, match="by another process"), the_only_one(tmp_path):
        pass
    with the_only_one(tmp_path):
        pass
