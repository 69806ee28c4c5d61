"""`roadworthy explain` answers for one prediction, whichever release gave it."""

from __future__ import annotations

import pytest

from roadworthy.cli.opening import existing_state
from roadworthy.core.project import read_project


@pytest.fixture
def ids(lived):
    with existing_state(read_project(lived)) as state:
        records = state.records.read(arms=("stable", "canary"))
    return [records[0].id, records[-1].id]


def test_first_and_last_answer_come_back_to_the_last_bit(call, lived, ids):
    for id in ids:
        told = call("explain", id, "--project", lived, "--json")
        assert told.code == 0, told.err
        assert told.body["record"]["id"] == id
        assert told.body["replay"]["outputs"] == told.body["record"]["outputs"]
        assert (told.body["replay"]["differs"], told.body["replay"]["error"]) == ([], None)


def test_a_person_reads_the_release_and_the_outcomes_of_its_like(call, lived, ids):
    told = call("explain", ids[-1], "--project", lived)
    assert told.code == 0
    assert ids[-1] in told.out
    assert "release" in told.out.lower()


def test_an_unknown_id_gets_the_nearest_one(call, lived, ids):
    told = call("explain", ids[0] + "x", "--project", lived)
    assert (told.code, ids[0] in told.err) == (2, True)
