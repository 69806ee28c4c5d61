from __future__ import annotations

import math

import numpy as np

from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.observe.explanation.similar import nearest, place

TEXT = np.array(["UA", "UA", "B6", None], dtype=object)


def record(id="now", label=None, **inputs) -> Record:
    return Record(id, 0.0, "r1", "stable", inputs, {"p": 0.5}, label=label)


def test_a_number_lies_above_the_share_below_it():
    found = place("x", 75, np.arange(100.0))
    assert (found.kind, found.place.value, found.place.n) == ("percentile", 0.755, 100)
    assert found.place.low < 0.755 < found.place.high


def test_nulls_do_not_count_among_numbers():
    assert place("x", 1.0, np.array([0.0, 2.0, np.nan])).place.n == 2


def test_a_category_has_the_share_of_rows_with_it():
    assert place("carrier", "UA", TEXT).place.value == 0.5
    assert place("carrier", "XX", TEXT).place.value == 0.0


def test_a_null_has_the_share_of_nulls():
    assert place("carrier", None, TEXT).place.value == 0.25
    assert place("x", None, np.array([np.nan, 1.0])).place.value == 0.5


def test_without_traffic_there_is_no_place():
    assert place("x", 1.0, None).place.n == 0
    assert place("x", 1.0, np.empty(0)).place.n == 0
    assert math.isnan(place("v", [1.0, 2.0], np.zeros((5, 2))).place.value)


def test_the_nearest_come_first_and_only_those_whose_outcome_is_known():
    recent = [record(str(k), label=1.0 if k != 5 else None, x=float(k), carrier="UA") for k in range(10)]
    found = nearest(record(x=5.2, carrier="UA"), recent, Window.of(recent), 3)
    assert [like.record.id for like in found] == ["6", "4", "7"]
    assert [like.distance for like in found] == sorted(like.distance for like in found)


def test_another_category_is_far_and_an_outlier_stretches_nothing():
    recent = [
        record("same", 1.0, x=1.0, carrier="UA"),
        record("other", 1.0, x=2.0, carrier="B6"),
        record("outlier", 0.0, x=1e9, carrier="UA"),
    ]
    found = nearest(record(x=2.0, carrier="UA"), recent, Window.of(recent), 3)
    assert [like.record.id for like in found] == ["same", "outlier", "other"]


def test_a_null_is_like_a_null():
    recent = [record("null", 1.0, x=None), record("number", 1.0, x=3.0)]
    found = nearest(record(x=None), recent, Window.of(recent), 2)
    assert [(like.record.id, like.distance) for like in found] == [("null", 0.0), ("number", 1.0)]


def test_without_outcomes_there_is_none_alike():
    recent = [record("a", x=1.0)]
    assert nearest(record(x=1.0), recent, Window.of(recent), 3) == []
