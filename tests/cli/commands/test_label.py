"""`roadworthy label` joins outcomes to predictions, and keeps aside what belongs to none."""

from __future__ import annotations

import polars as pl
import pytest

from roadworthy.core.record import Record


@pytest.fixture
def answered(clinic, state):
    """A clinic that answered three requests."""
    state.records.write(
        [Record(f"visit-{k}", float(k), "digest", "stable", {}, {"probability": 0.5}) for k in range(3)]
    )
    return clinic


def test_an_outcome_joins_its_prediction(call, answered, state):
    told = call("label", "visit-1", "1", "--at", "7", "--project", answered, "--json")
    assert (told.code, told.body["kept"]) == (0, 1)
    (record,) = state.records.get("visit-1")
    assert (record.label, record.label_at) == (1.0, 7.0)


def test_an_unknown_id_is_kept_aside_and_exit_code_1(call, answered, state):
    told = call("label", "visit-9", "1", "--at", "7", "--project", answered)
    assert told.code == 1
    assert "'visit-9'" in told.out
    assert "kept aside" in told.out
    late = Record("visit-9", 9.0, "digest", "stable", {}, {})
    state.records.write([late])
    assert call("label", "visit-1", "0", "--project", answered).code == 0
    assert state.records.get("visit-9")[0].label == 1.0


def test_the_same_outcome_again_is_fine_and_another_one_is_not(call, answered):
    options = ("--project", answered, "--at", "5")
    assert [call("label", "visit-2", value, *options).code for value in ("0", "0", "1")] == [0, 0, 1]


def test_a_table_of_outcomes_is_joined_at_once(call, answered, tmp_path):
    table = tmp_path / "outcomes.csv"
    pl.DataFrame({"id": ["visit-0", "visit-1", "nobody"], "value": [1, 0, 1], "at": [5, 5, 5]}).write_csv(table)
    told = call("label", "--file", table, "--project", answered, "--json")
    assert told.code == 1
    assert (told.body["kept"], [label["id"] for label in told.body["unknown"]]) == (2, ["nobody"])


def test_who_says_so_is_kept_with_the_label(call, answered, state, tmp_path):
    options = ("--at", "5", "--project", answered)
    assert call("label", "visit-0", "1", "--by", "person:anna", *options).code == 0
    assert call("label", "visit-1", "0", *options).code == 0
    table = tmp_path / "outcomes.csv"
    table.write_text("id,value,at,by\nvisit-0,1,6,person:ben\nvisit-2,1,6,\n")
    assert call("label", "--file", table, "--by", "tower", "--project", answered).code == 0
    assert [(label.id, label.source) for label in state.records.every_label()] == [
        ("visit-0", "person:anna"),
        ("visit-1", "cli"),
        ("visit-2", "tower"),
        ("visit-0", "person:ben"),
    ]


@pytest.mark.parametrize("words", [(), ("visit-1",), ("", "1"), ("visit-1", "1", "--file", "x.csv")])
def test_half_an_outcome_is_wrong_use(call, answered, words):
    told = call("label", *words, "--project", answered)
    assert (told.code, "roadworthy label --help" in told.err) == (2, True)


def test_an_outcome_that_is_no_number_is_wrong_use(call, answered):
    assert call("label", "visit-1", "late", "--project", answered).code == 2
    assert call("label", "visit-1", "nan", "--project", answered).code == 2


def test_a_project_in_which_nothing_happened_says_where_to_begin(call, clinic):
    told = call("label", "visit-1", "1", "--project", clinic)
    assert (told.code, "roadworthy release" in told.err) == (2, True)
