"""`roadworthy watch` draws a screen of the last minutes."""

from __future__ import annotations

from roadworthy.cli.opening import existing_state
from roadworthy.core.project import read_project


def test_a_time_in_the_past_is_drawn_once(call, lived):
    with existing_state(read_project(lived)) as state:
        at = state.records.newest()
    told = call("watch", "--at", at, "--minutes", "60", "--project", lived)
    assert told.code == 0, told.err
    assert "stable" in told.out
    body = call("watch", "--at", at, "--minutes", "60", "--project", lived, "--json").body
    assert body["arms"][0]["requests"] > 0


def test_nothing_was_recorded_yet(call, clinic):
    assert call("watch", "--once", "--project", clinic).code == 2
