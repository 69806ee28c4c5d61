from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roadworthy.core.columns import Numbers, Values
from roadworthy.core.profile import count as counted
from roadworthy.observe.drift import bins
from roadworthy.observe.drift.bins import NULL, OTHER, Counts

NAN = float("nan")
numbers = arrays(np.float64, st.integers(1, 60), elements=st.floats(allow_nan=True, allow_infinity=True)).filter(
    lambda values: not np.isnan(values).all()
)
texts = st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh"), st.text(max_size=2)), min_size=1, max_size=60)


def count(reference: np.ndarray, current: np.ndarray, most: int) -> Counts:
    before = counted(reference)
    return bins.count(before, counted(current, like=before), most)


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


def test_bins_of_a_smooth_column_hold_nearly_equal_parts():
    values = np.random.default_rng(0).normal(size=10_000)
    held = count(values, values, 10).reference
    assert held[-1] == 0
    assert np.abs(held[:-1] - 1000).max() < 150


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
    for constant in (7.0, 0.0, 1.7e9, 0.1):
        counts = count(np.full(100, constant), np.full(100, constant * 1.1 + 1), 10)
        assert counts.reference.tolist() == [0.0, 100.0, 0.0, 0.0]
        assert counts.current.tolist() == [0.0, 0.0, 100.0, 0.0]


def test_one_outlier_leaves_the_bins_alone():
    values = np.random.default_rng(0).normal(size=1000)
    spoilt = np.append(values[:-1], 1e6)
    assert np.abs(count(values, spoilt, 10).current - count(values, values, 10).current).sum() <= 2
    assert np.abs(count(spoilt, values, 10).current[:-1] - 100).max() < 20


@pytest.mark.parametrize(
    "values",
    [2.0**24 + np.arange(50), 1.7e9 + 3600.0 * np.arange(50), 1e300 * np.arange(50), 1e-300 * np.arange(50)],
    ids=["beyond float32", "dates", "huge", "tiny"],
)
def test_any_scale_has_ten_bins(values):
    assert count(np.repeat(values, 10), values, 10).reference.tolist() == [50.0] * 10 + [0.0]


def test_integers_beyond_float32_are_told_apart():
    values = np.array([2.0**24, 2.0**24 + 1] * 50)
    assert count(values, values + 1, 2).current.tolist() == [0.0, 100.0, 0.0]


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


def drawn(n: int, seed: int, many: int = 4000) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, many, n).astype(str).astype(object)


def test_of_many_values_the_bins_are_the_same_whichever_were_common():
    found = count(drawn(20_000, 0), drawn(20_000, 1), 10)
    assert found.reference.sum() == found.current.sum() == 20_000
    assert len(found.names) == 9
    # The commonest values of the reference alone would be 40 standard deviations rarer in the other.
    assert (np.abs(found.reference - found.current) <= 4 * np.sqrt(found.reference + found.current)).all()


def test_a_value_that_is_common_for_sure_has_its_name_among_many():
    before = np.concatenate([drawn(10_000, 0), np.array(["US"] * 10_000, object)])
    found = shares(count(before, drawn(20_000, 1), 10))
    assert found["'US'"] == (10_000.0, 0.0)
    assert sum(n for n, _ in found.values()) == sum(m for _, m in found.values()) == 20_000


def test_a_new_value_that_is_common_now_names_its_bucket_among_many():
    found = count(drawn(10_000, 0), np.array(["new"] * 5_000, object), 10)
    assert found.names[int(np.argmax(found.current))] == "others such as 'new'"


def test_numbers_and_categories_share_no_bins():
    with pytest.raises(TypeError, match="`like` that of the reference"):
        bins.count(Numbers.of(np.arange(5.0)), Values.of(np.array(["a"], object)), 5)


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
