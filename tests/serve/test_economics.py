"""A cache's worth is measured, with its uncertainty, from the first row on and before it."""

from __future__ import annotations

import math

import pytest

from roadworthy.core.measure import Measurement
from roadworthy.serve.economics import Tally, measured


def by_name(tally: Tally, usd_per_hour: float = 0.0) -> dict[str, Measurement]:
    return {m.name: m for m in measured(tally, usd_per_hour, where="release a")}


def tally(hits: int = 60, shared: int = 20, seconds: tuple[float, ...] = (0.01, 0.03) * 10) -> Tally:
    """A tally of so many misses as seconds are given."""
    made = Tally(hits=hits, shared=shared, misses=len(seconds), evictions=3, entries=17, bytes=4096)
    for each in seconds:
        made.took(1, each)
    return made


def test_a_cache_that_nobody_asked_knows_nothing() -> None:
    found = by_name(Tally(), 3.6)
    assert len(found) == 6
    assert all(m.n == 0 and math.isnan(m.value) and m.where == "release a" for m in found.values())


def test_the_share_of_hits_has_wilsons_interval() -> None:
    share = by_name(tally())["cache_hit_share"]
    assert (share.value, share.n) == (0.8, 100)
    assert (share.low, share.high) == pytest.approx((0.711, 0.867), abs=1e-3)
    assert by_name(tally())["cache_shared_share"].value == 0.2


def test_bytes_and_evictions_are_counted() -> None:
    found = by_name(tally())
    assert (found["cache_bytes"].value, found["cache_bytes"].n, found["cache_bytes"].unit) == (4096, 17, "bytes")
    assert (found["cache_evictions"].value, found["cache_evictions"].n) == (3, 20)


def test_a_spared_row_is_worth_the_mean_of_those_that_were_computed() -> None:
    found = by_name(tally(), usd_per_hour=3.6)
    ms, usd = found["cache_saved_ms"], found["cache_saved_usd"]
    assert (ms.value, ms.unit, ms.n) == (pytest.approx(80 * 20.0), "ms", 20)
    # The standard error of ten times 0.01 and ten times 0.03 is 0.01 * sqrt(20/19) / sqrt(20).
    half = 1.96 * 0.01 * math.sqrt(20 / 19) / math.sqrt(20)
    assert (ms.low, ms.high) == pytest.approx((80e3 * (0.02 - half), 80e3 * (0.02 + half)), rel=1e-3)
    assert usd.value == pytest.approx(ms.value / 1e3 / 3600 * 3.6)
    assert (usd.unit, usd.conditions) == ("usd", {"usd_per_hour": 3.6})


def test_without_a_price_the_dollars_are_unknown() -> None:
    assert by_name(tally())["cache_saved_usd"].n == 0


def test_one_computed_row_bounds_nothing_above() -> None:
    ms = by_name(tally(seconds=(0.01,)))["cache_saved_ms"]
    assert (ms.value, ms.low, ms.high) == (pytest.approx(800.0), 0.0, math.inf)


def test_nothing_spared_is_worth_nothing() -> None:
    ms = by_name(tally(hits=0, shared=0, seconds=(0.01,)))["cache_saved_ms"]
    assert (ms.value, ms.low, ms.high) == (0.0, 0.0, 0.0)


def test_tallies_of_two_processes_are_one() -> None:
    whole = tally(seconds=(0.01, 0.03, 0.05))
    parts = tally(hits=50, shared=0, seconds=(0.01,)).merge(tally(hits=10, shared=20, seconds=(0.03, 0.05)))
    assert (parts.rows, parts.hits, parts.shared) == (whole.rows, whole.hits, whole.shared)
    assert by_name(parts)["cache_saved_ms"].high == pytest.approx(by_name(whole)["cache_saved_ms"].high)
    assert whole.merge(Tally()) == whole


def test_rows_that_were_computed_together_share_their_time() -> None:
    made = Tally(hits=1, misses=4)
    made.took(4, 0.04)
    alike = by_name(made)["cache_saved_ms"]
    assert (alike.value, alike.low, alike.high) == pytest.approx((10.0, 10.0, 10.0))
    made.took(1, 0.02)
    assert by_name(made)["cache_saved_ms"].high > 12.0
