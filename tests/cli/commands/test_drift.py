"""`roadworthy drift` compares the last days with what the release was made on."""

from __future__ import annotations

import shutil

import polars as pl


def test_every_column_and_the_kind_are_told(call, lived):
    told = call("drift", "--days", "7", "--project", lived, "--json")
    assert told.code in (0, 1), told.err
    assert told.body["rows"] > 0
    assert {row["column"] for row in told.body["report"]["rows"]} >= {"radius", "probability"}
    assert told.body["kind"]["kind"] in ("none", "inputs", "labels", "concept", "upstream fault", "cannot tell")


def test_a_person_sees_both_histograms(call, lived):
    told = call("drift", "--days", "7", "--project", lived)
    assert "kind of drift" in told.out
    assert "█" in told.out


def test_a_unit_that_changed_is_found(call, lived):
    from msgspec.structs import replace

    from roadworthy.cli.opening import existing_state
    from roadworthy.core.project import read_project

    with existing_state(read_project(lived)) as state:
        newest = state.records.newest()
        last = [r for r in state.records.read(since=newest - 86_400) if r.arm == "stable" and r.error is None]
        inches = [{**r.inputs, "radius": 25.4 * r.inputs["radius"]} for r in last * 5]
        later = newest + 5 * 86_400
        state.records.write([replace(r, id=f"again-{k}", at=later, inputs=inches[k]) for k, r in enumerate(last * 5)])
    told = call("drift", "--days", "1", "--project", lived, "--json")
    assert told.code == 1
    assert told.body["report"]["rows"][0]["column"] == "radius"


def test_a_stretch_without_records_waits(call, lived):
    assert call("drift", "--from", "2010-01-01 00:00", "--to", "2010-01-02 00:00", "--project", lived).code in (2, 3)


def test_no_profile_says_what_to_do(call, lived, tmp_path):
    import sqlite3

    with sqlite3.connect(lived / ".roadworthy" / "metadata.db") as database:
        database.execute("DELETE FROM profiles")
    told = call("drift", "--project", lived)
    assert (told.code, "--profile" in told.err) == (2, True)
    assert call("drift", "--profile", "--project", lived).code in (0, 1, 3)


def test_rows_that_the_lab_knows_are_compared_one_by_one(call, lived):
    lab = lived / "data" / "lab.parquet"
    told = call("drift", "--skew", "--project", lived, "--json")
    assert told.code in (0, 1, 3), told.err
    assert told.body["skew"] is not None
    assert pl.read_parquet(lab).height > 0


def test_the_options_are_checked(call, lived):
    assert call("drift", "--from", "yesterdey", "--project", lived).code == 2
    assert call("drift", "--zone", "Mars/Base", "--from", "03:00", "--project", lived).code == 2
    shutil.rmtree(lived / ".roadworthy")
    assert call("drift", "--project", lived).code == 2
