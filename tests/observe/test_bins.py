from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roadworthy.observe.bins import NULL, OTHER, Counts, count, quantile_edges

NAN = float("nan")
numbers = arrays(np.float64, st.integers(1, 60), elements=st.floats(allow_nan=True, allow_infinity=True))
texts = st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh"), st.text(max_size=2)), min_size=1, max_size=60)


def shares(counts: Counts) -> dict[str, tuple[float, float]]:
    return dict(zip(counts.names, zip(counts.reference.tolist(), counts.current.tolist(), strict=True), strict=True))


@given(numbers, numbers, st.integers(2, 12))
def test_every_number_falls_into_one_bin(reference, current, most):
    counts = count(reference, current, most)
    assert counts.reference.sum() == len(reference)
    assert counts.current.sum() == len(current)
    assert counts.reference[-1] == np.isnan(reference).sum()
    assert len(counts.names) == len(counts.reference) <= most + 2


@given(texts, texts, st.integers(2, 12))
def test_every_category_falls_into_one_bin(reference, current, most):
    counts = count(np.array(reference, dtype=object), np.array(current, dtype=object), most)
    assert counts.reference.sum() == len(reference)
    assert counts.current.sum() == len(current)
    assert counts.current[-1] == current.count(None)
    assert len(counts.names) <= most + 2


@given(numbers, numbers, st.floats(1, 20))
def test_gathering_loses_no_row(reference, current, least):
    counts = count(reference, current, 10)
    gathered, _ = counts.gather(least)
    assert gathered.reference.sum() == len(reference)
    assert gathered.current.sum() == len(current)
    assert len(gathered.names) == len(gathered.reference) == len(gathered.current)


def test_bins_of_a_smooth_column_hold_equal_parts():
    values = np.random.default_rng(0).normal(size=1000)
    assert count(values, values, 10).reference.tolist() == [100.0] * 10 + [0.0]


def test_a_heavy_value_gets_a_bin_to_itself_wherever_it_lies():
    for values in ([0.0] * 5 + [1.0] * 95, [0.0] * 95 + [1.0] * 5):
        counts = count(np.array(values), np.array(values), 10)
        assert sorted(counts.reference.tolist()) == [0.0, 5.0, 95.0]


def test_hours_are_told_apart():
    hours = np.repeat(np.arange(6.0), 50)
    assert count(hours, hours, 6).reference.tolist() == [50.0] * 6 + [0.0]


def test_rounding_to_float32_moves_no_row():
    values = np.round(np.random.default_rng(1).gamma(2, 5, 3000), 1)
    counts = count(values, values.astype(np.float32).astype(np.float64), 10)
    assert counts.reference.tolist() == counts.current.tolist()


def test_another_value_of_a_constant_is_seen():
    counts = count(np.full(100, 7.0), np.full(100, 8.0), 10)
    assert counts.reference.tolist() == [0.0, 100.0, 0.0, 0.0]
    assert counts.current.tolist() == [0.0, 0.0, 100.0, 0.0]


def test_one_outlier_leaves_the_bins_alone():
    values = np.random.default_rng(0).normal(size=1000)
    edges = quantile_edges(np.sort(values), 10)
    spoilt = quantile_edges(np.sort(np.append(values[:-1], 1e6)), 10)
    assert np.abs(edges - spoilt).max() < 0.1


def test_an_unseen_category_that_is_common_now_has_its_name():
    found = shares(count(np.array(["a"] * 50, dtype=object), np.array(["a"] * 20 + ["new"] * 30, dtype=object), 2))
    assert found == {"'a'": (50.0, 20.0), "'new'": (0.0, 30.0), OTHER: (0.0, 0.0), NULL: (0.0, 0.0)}


def test_text_where_numbers_were_counts_as_null():
    found = count(np.arange(50.0), np.array(["12"] * 50, dtype=object), 5)
    assert found.current[-1] == 50


def test_numbers_where_text_was_are_other_values():
    found = shares(count(np.array(["a"] * 50, dtype=object), np.arange(50.0), 1))
    assert found["'a'"] == (50.0, 0.0)
    assert found[OTHER] == (0.0, 50.0)


def test_text_where_only_nulls_were_is_seen():
    found = shares(count(np.full(50, NAN), np.array(["a"] * 50, dtype=object), 3))
    assert found["'a'"] == (0.0, 50.0)
    assert found[NULL] == (50.0, 0.0)


def test_a_column_that_vanished_is_all_null():
    found = count(np.array(["a"] * 50, dtype=object), np.full(20, NAN), 3)
    assert found.current.tolist() == [0.0, 0.0, 20.0]


@pytest.mark.parametrize(
    ("nulls", "name", "thin"), [(2, NULL, True), (40, NULL, False)], ids=["a thin bin is last", "a filled one stays"]
)
def test_only_thin_bins_are_gathered(nulls, name, thin):
    values = np.append(np.arange(200.0), np.full(nulls, NAN))
    gathered, is_thin = count(values, values, 4).gather(5.0)
    assert gathered.names[-1] == name
    assert is_thin is thin
    assert gathered.reference.tolist() == [50.0] * 4 + [float(nulls)]


def test_gathered_thin_bins_can_be_enough_together():
    counts = Counts(("a", "b", "c", "d"), np.array([90.0, 4, 3, 3]), np.array([90.0, 3, 3, 4]))
    gathered, thin = counts.gather(5.0)
    assert gathered.names == ("a", OTHER)
    assert gathered.current.tolist() == [90.0, 10.0]
    assert not thin
