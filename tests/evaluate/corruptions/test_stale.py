from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.stale import Stale
from roadworthy.testing.corruptions import mixed_sample

HOURS = 3600.0 * np.arange(6)
RNG = np.random.default_rng(0)


def hourly(**more: np.ndarray) -> Sample:
    return Sample({"temp": np.arange(6.0) * 10, **more}, at=HOURS)


def test_rows_hold_the_value_of_so_many_hours_earlier() -> None:
    assert Stale(("temp",), hours=2)(hourly(), 1.0, RNG).columns["temp"].tolist() == [0, 10, 0, 10, 20, 30]


def test_severity_scales_the_hours() -> None:
    assert Stale(("temp",), hours=2)(hourly(), 0.5, RNG).columns["temp"].tolist() == [0, 0, 10, 20, 30, 40]


def test_the_value_is_the_last_one_seen_by_then() -> None:
    sample = Sample({"temp": np.array([1.0, 2.0, 3.0])}, at=np.array([0.0, 5000.0, 9000.0]))
    assert Stale(("temp",), hours=1)(sample, 1.0, RNG).columns["temp"].tolist() == [1, 1, 2]


def test_rows_out_of_order_are_read_by_their_time() -> None:
    sample = hourly()
    mixed = np.array([3, 0, 5, 1, 4, 2])
    spoilt = Stale(("temp",), hours=2)(sample.take(mixed), 1.0, RNG)
    assert (spoilt.columns["temp"] == Stale(("temp",), hours=2)(sample, 1.0, RNG).columns["temp"][mixed]).all()


@pytest.mark.parametrize("kind", ["tag", "column"])
def test_a_row_sees_only_rows_of_its_own_place(kind: str) -> None:
    place = np.array(["JFK", "LGA"] * 3, dtype=object)
    sample = replace(hourly(), tags={"origin": place}) if kind == "tag" else hourly(origin=place)
    spoilt = Stale(hours=2, by="origin")(sample, 1.0, RNG)
    assert spoilt.columns["temp"].tolist() == [0, 10, 0, 10, 20, 30]
    nearer = Stale(("temp",), hours=1, by="origin")(sample, 1.0, RNG)
    assert nearer.columns["temp"].tolist() == [0, 10, 0, 10, 20, 30]
    assert (spoilt.columns.get("origin", place) == place).all()


def test_a_sample_without_times_comes_back_unchanged() -> None:
    sample = replace(mixed_sample(), at=None)
    assert Stale()(sample, 1.0, RNG) is sample


def test_hours_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="`hours` must be above 0, got -1"):
        Stale(hours=-1)
