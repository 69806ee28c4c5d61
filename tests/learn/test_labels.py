from __future__ import annotations

import math

import numpy as np
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.errors import BadData
from roadworthy.core.record import Label, Record
from roadworthy.core.sample import Sample
from roadworthy.learn.labels import Arrivals, labels_of, read_labels, told
from roadworthy.store.records import RecordLog

times = st.floats(0, 100, allow_nan=False)


@given(st.lists(times), st.lists(times))
def test_each_label_is_handed_out_once_when_it_is_known(known_at, looks):
    arrivals = Arrivals(Label(str(k), 1.0, at) for k, at in enumerate(known_at))
    seen, before = [], -math.inf
    for now in sorted(looks):
        handed = arrivals.due(now)
        assert all(before < label.at <= now for label in handed)
        seen, before = seen + handed, now
    assert len(seen) + arrivals.left == len(known_at)
    assert [label.at for label in seen] == sorted(label.at for label in seen)
    assert arrivals.next_at > before or not arrivals.left


def test_nothing_is_next_after_the_last():
    arrivals = Arrivals([Label("a", 1.0, 5.0)])
    assert (arrivals.next_at, arrivals.left, arrivals.due(4.0)) == (5.0, 1, [])
    assert arrivals.due(5.0) == [Label("a", 1.0, 5.0)]
    assert (arrivals.next_at, arrivals.left) == (math.inf, 0)


def sample(**given) -> Sample:
    parts = {"labels": np.array([1.0, np.nan, 0.0]), "ids": np.array(["a", "b", "c"], dtype=object)}
    parts["known_at"] = np.array([10.0, np.nan, 20.0])
    return Sample({"x": np.zeros(3)}, source="flights.parquet", **{**parts, **given})


def test_a_table_gives_its_known_labels():
    assert labels_of(sample()) == [Label("a", 1.0, 10.0, "flights.parquet"), Label("c", 0.0, 20.0, "flights.parquet")]
    assert labels_of(sample(), "tower")[0].source == "tower"


def test_a_table_that_does_not_say_whose_labels_they_are_is_refused():
    with pytest.raises(BadData, match=r"'flights.parquet' has no `ids`, `known_at`"):
        labels_of(sample(ids=None, known_at=None))


def test_a_label_without_its_time_is_refused():
    with pytest.raises(BadData, match=r"1 labels of 'flights.parquet' do not say since when"):
        labels_of(sample(known_at=np.array([10.0, np.nan, np.nan])))


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
def test_labels_are_read_from_a_table(tmp_path, name):
    frame = polars.DataFrame({"id": ["007", "b", "c"], "value": [1.0, None, 0.0], "at": [10.5, 20.0, 30.0]})
    path = tmp_path / name
    frame.write_csv(path) if name.endswith("csv") else frame.write_parquet(path)
    assert read_labels(path) == [Label("007", 1.0, 10.5, str(path)), Label("c", 0.0, 30.0, str(path))]


@pytest.mark.parametrize("column", ["by", "source"])
def test_a_table_may_say_whose_word_each_label_is(tmp_path, column):
    (tmp_path / "l.csv").write_text(f"id,value,at,{column}\na,1,5,person:anna\nb,0,6,\n")
    assert [label.source for label in read_labels(tmp_path / "l.csv")] == ["person:anna", str(tmp_path / "l.csv")]
    assert [label.source for label in read_labels(tmp_path / "l.csv", source="tower")] == ["person:anna", "tower"]


def test_a_column_that_is_named_and_not_there_is_refused(tmp_path):
    (tmp_path / "l.csv").write_text("id,value,at,who\na,1,5,person\n")
    assert read_labels(tmp_path / "l.csv", by="who")[0].source == "person"
    with pytest.raises(BadData, match="no column 'whom'; did you mean 'who'"):
        read_labels(tmp_path / "l.csv", by="whom")


def test_columns_can_have_other_names(tmp_path):
    (tmp_path / "l.csv").write_text("flight,late,since\na,1,5\n")
    found = read_labels(tmp_path / "l.csv", id="flight", value="late", at="since")
    assert found == [Label("a", 1.0, 5.0, str(tmp_path / "l.csv"))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,valu,at\na,1,5\n", "no column 'value'; did you mean 'valu'"),
        ("id,value,at\na,1,5\nb,late,6\n", "row 2: label 'late' known at '6'; a label is a number"),
        ("id,value,at\na,1,\n", "row 1: label '1' known at None"),
        ("id,value,at\na,1,nan\n", "row 1"),
        ("id,value,at\n,1,5\n", "row 1: has no id"),
        ("", "cannot be read as a table"),
    ],
)
def test_a_table_of_labels_that_is_wrong_says_where(tmp_path, text, message):
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(BadData, match=message):
        read_labels(tmp_path / "l.csv")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadData, match="no file"):
        read_labels(tmp_path / "l.csv")


def test_unknown_and_conflicting_labels_are_told(tmp_path):
    log = RecordLog(tmp_path / "records.db", "process")
    log.write([Record(id, 0.0, "r", "stable", {}, {}) for id in "abc"])
    log.write_labels([Label("a", 1.0, 5.0)])
    report = log.write_labels([Label("a", 1.0, 6.0), Label("a", 0.0, 6.0), Label("b", 1.0, 6.0), Label("z", 1.0, 6.0)])
    log.close()
    assert told(report) == (
        "1 labels joined their prediction; 1 were known already; 1 are for unknown ids ('z') and kept aside; "
        "1 contradict an earlier label ('a'): the first stands, the others are kept aside"
    )
