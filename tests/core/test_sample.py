from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from roadworthy.core.sample import Sample

SAMPLE = Sample(
    columns={"x": np.arange(5.0), "carrier": np.array(list("abcde"), dtype=object), "v": np.ones((5, 2))},
    labels=np.array([0.0, 1, 0, 1, np.nan]),
    at=np.arange(5.0) + 10,
    known_at=np.arange(5.0) + 20,
    ids=np.array(list("vwxyz"), dtype=object),
    tags={"origin": np.array(list("JJLLE"), dtype=object)},
    source="lab.parquet",
    digest="abc",
    keys=np.array(list("kkkll"), dtype=object),
)


@pytest.mark.parametrize("rows", [slice(1, 3), np.array([1, 2]), np.array([False, True, True, False, False])])
def test_the_rows_that_are_taken_stay_together(rows):
    taken = SAMPLE.take(rows)
    assert taken.n == 2
    assert taken.columns["x"].tolist() == [1.0, 2.0]
    assert taken.columns["v"].shape == (2, 2)
    assert (taken.labels.tolist(), taken.ids.tolist(), taken.at.tolist()) == ([1.0, 0.0], ["w", "x"], [11.0, 12.0])
    assert (taken.tags["origin"].tolist(), taken.keys.tolist()) == (["J", "L"], ["k", "k"])
    assert (taken.source, taken.digest) == ("lab.parquet", "abc")


def test_taking_every_row_changes_no_field():
    same = SAMPLE.take(slice(None))
    for each in fields(Sample):
        assert repr(getattr(same, each.name)) == repr(getattr(SAMPLE, each.name)), each.name


def test_what_a_table_lacks_stays_unknown():
    bare = Sample({"x": np.arange(3.0)}).take(slice(0, 2))
    assert bare.n == 2
    assert (bare.labels, bare.at, bare.known_at, bare.ids, bare.keys) == (None,) * 5


@pytest.mark.parametrize(("size", "parts"), [(2, [2, 2, 1]), (5, [5]), (9, [5])])
def test_chunks_are_all_rows_in_their_order(size, parts):
    chunks = list(SAMPLE.chunks(size))
    assert [chunk.n for chunk in chunks] == parts
    assert [x for chunk in chunks for x in chunk.columns["x"]] == SAMPLE.columns["x"].tolist()


def test_no_rows_are_no_chunks():
    assert Sample({}).n == 0
    assert list(Sample({}).chunks(3)) == []
