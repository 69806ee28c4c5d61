from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.record import Record
from roadworthy.core.sample import Sample
from roadworthy.learn.training_rows import digest_of, training_sample


def history(known_at=(10.0, 20.0, 30.0)) -> Sample:
    return Sample(
        {"x": np.array([1.0, 2.0, 3.0]), "carrier": np.array(["UA", None, "B6"], dtype=object)},
        labels=np.array([0.0, 1.0, 0.0]),
        at=np.array([5.0, 15.0, 25.0]),
        known_at=np.array(known_at),
        ids=np.array(["h0", "h1", "h2"], dtype=object),
        tags={"origin": np.array(["JFK", "LGA", "JFK"], dtype=object)},
        source="history.parquet",
    )


def row(id="p0", at=40.0, label=1.0, label_at=50.0, **more) -> Record:
    given = {"x": 4.0, "carrier": "AA", "unused": 9}
    return Record(id, at, "r", "stable", given, {}, tags={"origin": "EWR"}, label=label, label_at=label_at, **more)


def test_rows_of_the_table_and_of_the_log_are_one_sample():
    found = training_sample(history(), [row()], now=60.0)
    assert found.columns["x"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert found.columns["carrier"].tolist() == ["UA", None, "B6", "AA"]
    assert found.labels.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert found.known_at.tolist() == [10.0, 20.0, 30.0, 50.0]
    assert found.tags["origin"].tolist() == ["JFK", "LGA", "JFK", "EWR"]
    assert found.ids.tolist() == ["h0", "h1", "h2", "p0"]
    assert found.source == "3 rows of history.parquet, 1 of the record log"


def test_what_became_known_later_is_left_out():
    assert training_sample(history(), [row()], now=49.9).ids.tolist() == ["h0", "h1", "h2"]
    assert training_sample(history(), [row()], now=20.0).ids.tolist() == ["h0", "h1"]
    assert training_sample(history(), [row()], now=0.0).n == 0


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 50), st.booleans()), max_size=20), st.floats(0, 150))
def test_no_row_knows_the_future(rows, now):
    records = [
        row(f"p{k}", at, 1.0 if known else None, at + late if known else None)
        for k, (at, late, known) in enumerate(rows)
    ]
    found = training_sample(history(), records, now)
    assert (found.known_at <= now).all()
    assert (np.diff(found.at) >= 0).all()
    assert found.n == sum(t <= now for t in (10, 20, 30)) + sum(known and at + late <= now for at, late, known in rows)


def test_a_table_without_known_at_counts_from_its_own_time():
    assert training_sample(replace(history(), known_at=None), [], now=15.0).ids.tolist() == ["h0", "h1"]
    assert training_sample(history(known_at=(np.nan, 20.0, 30.0)), [], now=5.0).ids.tolist() == ["h0"]


def test_a_table_without_times_is_known_and_comes_first():
    bare = replace(history(), known_at=None, at=None)
    found = training_sample(bare, [row()], now=60.0)
    assert found.ids.tolist() == ["h0", "h1", "h2", "p0"]
    assert np.isnan(found.at[:3]).all()


def test_a_row_is_taken_once_whoever_has_it():
    twice = [row("p0"), row("p0"), row("h1"), row("p1", at=41.0)]
    assert training_sample(history(), twice, now=60.0).ids.tolist() == ["h0", "h1", "h2", "p0", "p1"]


@pytest.mark.parametrize("spoilt", [{"label": None, "label_at": None}, {"label_at": None}, {"error": "timeout"}])
def test_records_without_an_outcome_or_an_answer_teach_nothing(spoilt):
    assert training_sample(history(), [row(**spoilt)], now=60.0).n == 3


def test_a_column_that_a_record_lacks_is_null():
    bare = Record("p0", 40.0, "r", "stable", {}, {}, label=1.0, label_at=50.0)
    found = training_sample(history(), [bare], now=60.0)
    assert np.isnan(found.columns["x"][-1])
    assert found.columns["carrier"][-1] is None
    assert found.tags["origin"][-1] == ""


def test_vectors_keep_their_width():
    vectors = replace(history(), columns={"v": np.ones((3, 2))})
    made = [
        Record(id, 40.0, "r", "stable", {"v": v}, {}, label=1.0, label_at=50.0)
        for id, v in (("a", [2, 3]), ("b", None))
    ]
    found = training_sample(vectors, made, now=60.0).columns["v"]
    assert found.shape == (5, 2)
    assert found[3].tolist() == [2.0, 3.0]
    assert np.isnan(found[4]).all()


def test_a_table_without_labels_teaches_nothing():
    assert training_sample(replace(history(), labels=None), [row()], now=60.0).ids.tolist() == ["p0"]


def test_the_digest_is_that_of_the_values():
    one, same = training_sample(history(), [row()], 60.0), training_sample(history(), [row()], 70.0)
    assert one.digest == same.digest == digest_of(one)
    assert one.digest != training_sample(history(), [row(label=0.0)], 60.0).digest
    assert one.digest != training_sample(history(), [], 60.0).digest
    assert len(one.digest) == 64
