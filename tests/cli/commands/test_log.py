"""`roadworthy log` shows, checks, seals, holds, removes and queries what was recorded."""

from __future__ import annotations

import pytest

from roadworthy.cli.opening import existing_state
from roadworthy.core.project import read_project


@pytest.fixture
def segments(lived):
    return lived / ".roadworthy" / "segments"


def rows(lived):
    with existing_state(read_project(lived)) as state:
        return state.records.count()


def test_the_parts_of_the_log_are_counted(call, lived):
    told = call("log", "--project", lived, "--json")
    assert told.code == 0, told.err
    assert sum(row["records"] for row in told.body["counts"]) == rows(lived)


def test_sealing_moves_rows_and_loses_none(call, lived, segments):
    before = rows(lived)
    told = call("log", "seal", "--project", lived, "--json")
    assert told.body["rows"] > 0.9 * before
    assert rows(lived) == before
    assert len(list(segments.glob("*.parquet"))) == len(told.body["files"])
    assert call("log", "verify", "--project", lived).code == 0


def test_a_damaged_file_is_named_and_exit_code_1(call, lived, segments):
    call("log", "seal", "--project", lived)
    (file,) = segments.glob("*.parquet")
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    file.write_bytes(bytes(whole))
    told = call("log", "verify", "--project", lived)
    assert (told.code, file.name in told.out) == (1, True)


def test_sql_sees_hot_and_sealed_rows_in_one_table(call, lived):
    query = "SELECT arm, count(*) AS n FROM records GROUP BY arm"
    before = call("log", "sql", query, "--project", lived, "--json").body
    call("log", "seal", "--project", lived)
    assert sorted(map(str, call("log", "sql", query, "--project", lived, "--json").body)) == sorted(map(str, before))
    assert sum(row["n"] for row in before) == rows(lived)


def test_a_query_that_is_none_names_the_columns(call, lived):
    told = call("log", "sql", "SELECT nothing FROM records", "--project", lived)
    assert (told.code, "inputs.radius" in told.err) == (2, True)


def test_a_hold_needs_a_reason_and_can_be_lifted(call, lived):
    assert call("log", "hold", "--from", "30d ago", "--project", lived).code == 2
    held = call("log", "hold", "--from", "30d ago", "--why", "case 7", "--project", lived, "--json")
    assert (held.code, held.body["why"]) == (0, "case 7")
    assert "case 7" in call("log", "--project", lived).out
    assert call("log", "lift", held.body["seq"], "--project", lived).code == 0
    assert call("log", "lift", held.body["seq"], "--project", lived).code == 2


def test_retention_removes_what_no_hold_keeps(call, lived):
    text = (lived / "roadworthy.yaml").read_text()
    assert call("log", "retain", "--project", lived).code == 2
    (lived / "roadworthy.yaml").write_text(text + "\nlog: {keep_days: 1}\n")
    before = rows(lived)
    call("log", "hold", "--from", "300d ago", "--why", "case 7", "--project", lived)
    call("log", "seal", "--project", lived)
    assert call("log", "retain", "--project", lived, "--json").body["rows"] == 0
    call("log", "lift", "1", "--project", lived)
    call("log", "retain", "--project", lived)
    assert rows(lived) <= before


def test_the_last_rows_are_shown(call, lived):
    assert len(call("log", "tail", "--rows", "3", "--project", lived, "--json").body) == 3


@pytest.mark.parametrize("action", ["ship", "drain"])
def test_shipping_needs_somewhere_to_ship_to(call, lived, action):
    told = call("log", action, "--project", lived)
    assert (told.code, "ship" in told.err) == (2, True)


def test_records_are_shipped_to_delta_and_read_there(call, lived, tmp_path):
    from roadworthy.store.delta_log import DeltaLog

    text = (lived / "roadworthy.yaml").read_text()
    (lived / "roadworthy.yaml").write_text(text + f"\nlog: {{ship: {{delta: {{uri: {tmp_path / 'lake'}}}}}}}\n")
    assert call("log", "ship", "--project", lived).code == 0
    assert DeltaLog(str(tmp_path / "lake")).count() == rows(lived)
