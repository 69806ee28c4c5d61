"""The log as a lazy frame: hot and sealed rows with labels, whatever became of the fields over time."""

from __future__ import annotations

import duckdb
import polars as pl
import pytest

from roadworthy.core.record import Label, Record
from roadworthy.core.spec import Log
from roadworthy.store.records import RecordLog
from roadworthy.store.sealing import seal

BASE = ["id", "at", "release", "arm", "error", "confidence", "tokens", "usd", "label", "label_at"]


def row(k: int, inputs: dict[str, object], **more) -> Record:
    more = {"seconds": {"total": k / 10}, "tags": {"carrier": "UA"}, **more}
    return Record(f"id-{k:03d}", float(k), "r", "stable", inputs, {"p": 0.5}, **more)


def seal_all(log: RecordLog) -> None:
    seal(log, Log(seal_rows=1, hot_minutes=0), 1e9)


@pytest.fixture
def changed(log: RecordLog) -> RecordLog:
    """Three segments and hot rows, between which every kind of change happened to the fields."""
    stretches = [
        lambda k: {"same": k, "gone": "x", "type": 1.5, "int": 1, "empty": None, "list": [1.0]},
        lambda k: {"same": k, "new": True, "type": "text", "int": 2.5, "empty": None, "list": [1, 2]},
        lambda k: {"same": k, "type": 7, "int": 3, "empty": None, "list": 5.0, "deep": {"a": 1}},
        lambda k: {"same": k, "type": None, "int": None, "empty": None, "list": None},
    ]
    for turn, inputs in enumerate(stretches):
        log.write([row(k, inputs(k)) for k in range(10 * turn, 10 * turn + 10)])
        if turn < 3:
            seal_all(log)
    return log


def test_fields_that_come_go_and_change_their_type_are_all_read(changed):
    records = changed.read()
    assert [record.inputs["same"] for record in records] == list(range(40))
    assert [repr(records[k].inputs.get("type", "gone")) for k in (0, 10, 20, 30)] == ["1.5", "'text'", "7", "None"]
    assert [repr(records[k].inputs["list"]) for k in (0, 10, 20, 30)] == ["[1.0]", "[1, 2]", "5.0", "None"]
    assert records[20].inputs["deep"] == {"a": 1}
    assert ["gone" in record.inputs for record in records[::10]] == [True, False, False, False]
    frame = changed.scan().collect().sort("at")
    types = {name: frame.schema[f"inputs.{name}"] for name in ("same", "gone", "new", "type", "int", "empty", "list")}
    assert types == {
        "same": pl.Int64,
        "gone": pl.String,
        "new": pl.Boolean,
        "type": pl.String,  # numbers here and text there are text
        "int": pl.Float64,
        "empty": pl.Float64,
        "list": pl.Float64,  # lists beside single values are null
    }
    shown = frame.select("inputs.gone", "inputs.new", "inputs.type", "inputs.int", "inputs.list").rows()[::10]
    assert shown == [
        ("x", None, "1.5", 1.0, None),
        (None, True, "text", 2.5, None),
        (None, None, "7", 3.0, 5.0),
        (None, None, None, None, None),
    ]


def test_the_columns_are_those_that_were_promised(log):
    log.write([row(0, {"x": 1.5}, tokens=3), row(1, {"x": 2.5}, confidence=0.5, error="late", usd=0.25)])
    log.write_labels([Label("id-001", 1.0, 9.0)])
    for _ in range(2):
        frame = log.scan().collect().sort("at")
        assert frame.columns == [*BASE, "inputs.x", "outputs.p", "seconds.total", "tags.carrier"]
        assert frame.rows() == [
            ("id-000", 0.0, "r", "stable", None, None, 3, None, None, None, 1.5, 0.5, 0.0, "UA"),
            ("id-001", 1.0, "r", "stable", "late", 0.5, None, 0.25, 1.0, 9.0, 2.5, 0.5, 0.1, "UA"),
        ]
        seal_all(log)


def test_an_empty_window_has_the_columns_and_no_rows(changed):
    empty = changed.scan(since=1e6).collect()
    assert empty.shape == (0, len(BASE))
    assert RecordLog(changed.path.with_name("other.db")).scan().collect().shape == (0, len(BASE))


def test_a_scan_asks_for_what_it_needs(changed):
    changed.write_labels([Label(f"id-{k:03d}", float(k % 2), 99.0) for k in range(0, 40, 2)])
    lazy = changed.scan(5.0, 35.0)
    assert lazy.select(pl.len()).collect().item() == 30
    assert lazy.select("inputs.same").head(3).collect().height == 3
    assert lazy.filter(pl.col("inputs.same") >= 30).select("id").collect().height == 5
    labelled = lazy.filter(pl.col("label") == 0, pl.col("at") < 9).select("inputs.same", "label_at").collect()
    assert sorted(labelled.rows()) == [(6, 99.0), (8, 99.0)]
    by = lazy.group_by("release").agg(pl.col("seconds.total").quantile(0.5), pl.col("label").count()).collect()
    assert by.rows() == [("r", 2.0, 15)]
    assert changed.scan(after=25).collect().height == 15


def test_a_scan_is_of_the_moment_in_which_it_was_asked_for(changed):
    lazy = changed.scan()
    changed.write([row(50, {"same": 50})])
    seal_all(changed)
    assert lazy.collect().height == 40
    changed.close()
    assert lazy.collect().height == 40


def test_duckdb_reads_the_segments_as_plain_parquet(changed):
    seal_all(changed)
    files = str(changed.path.with_name("segments") / "*.parquet")
    sql = f"""SELECT count(*), sum("inputs.same"), quantile_cont("seconds.total", 0.5), count("inputs.gone")
              FROM read_parquet('{files}', union_by_name=true)"""
    frame = changed.scan().collect()
    half = frame["seconds.total"].median()
    assert duckdb.sql(sql).fetchall()[0] == (40, frame["inputs.same"].sum(), pytest.approx(half), 10)
