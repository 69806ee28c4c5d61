"""An answer costs its share of the machine, and an unknown price is not a price of nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Measurement, Requirement, judge
from roadworthy.cost.prices import goodput, usd_per_1k


def capacity(value, n=100, low=-math.inf, high=math.inf):
    return Measurement("requests_per_second", value, n, low, high)


def test_a_price_worked_out_by_hand():
    # 0.36 dollars an hour is 0.0001 a second; 10 requests a second, half of the time, make 5: 0.02 a thousand.
    found = usd_per_1k(0.36, capacity(10.0, 100, 8.0, 12.5), utilisation=0.5)
    assert (found.name, found.unit, found.n) == ("usd_per_1k", "usd", 100)
    assert [found.low, found.value, found.high] == pytest.approx([0.016, 0.02, 0.025])
    assert found.conditions == {"usd_per_hour": 0.36, "utilisation": 0.5}


def test_a_capacity_without_bounds_gives_a_price_without_an_upper_bound():
    found = usd_per_1k(0.36, capacity(10.0), utilisation=1.0)
    assert (found.low, found.high) == (0.0, math.inf)


@pytest.mark.parametrize("usd_per_hour", [0, 0.0])
def test_an_unknown_price_is_not_free(usd_per_hour):
    found = usd_per_1k(usd_per_hour, capacity(10.0), utilisation=0.5)
    assert math.isnan(found.value)
    assert judge(found, Requirement("usd_per_1k", at_most=1.0, unit="usd")).decision == "wait"


@pytest.mark.parametrize("measured", [capacity(10.0, n=0), capacity(0.0), capacity(math.nan, n=0), capacity(math.nan)])
def test_no_capacity_gives_no_price(measured):
    assert usd_per_1k(0.36, measured, utilisation=0.5).n == 0


@pytest.mark.parametrize("usd_per_hour", [-1.0, math.nan, math.inf])
def test_an_impossible_price_is_refused(usd_per_hour):
    with pytest.raises(SpecError, match=r"`usd_per_hour` must be 0 \(unknown\) or more, got"):
        usd_per_1k(usd_per_hour, capacity(10.0), utilisation=0.5)


@pytest.mark.parametrize("utilisation", [0.0, 1.1, -0.5, math.nan])
def test_an_impossible_utilisation_is_refused(utilisation):
    with pytest.raises(SpecError, match="`utilisation` must be above 0 and at most 1, got"):
        usd_per_1k(1.0, capacity(10.0), utilisation)


@given(
    usd=st.floats(0.01, 100),
    share=st.floats(0.01, 1),
    bounds=st.lists(st.floats(0.1, 1e5), min_size=3, max_size=3).map(sorted),
)
def test_the_interval_holds_the_value_and_twice_the_machine_is_half_the_price(usd, share, bounds):
    low, value, high = bounds
    found = usd_per_1k(usd, capacity(value, 10, low, high), share)
    assert found.low <= found.value <= found.high
    assert usd_per_1k(usd, capacity(2 * value), share).value == pytest.approx(found.value / 2)


def test_the_price_at_the_slo_is_that_of_the_good_answers_and_not_of_the_peak():
    # 100 a second are offered and 60 of 100 come in time: 0.36 dollars an hour, half used, are 0.0033 a thousand.
    good = goodput(100.0, Measurement("good", 0.6, 500, 0.5, 0.75), "p99 of 200 ms")
    assert (good.name, good.unit, good.value, good.low, good.high) == ("goodput_rps", "rps", 60.0, 50.0, 75.0)
    found = usd_per_1k(0.36, good, utilisation=0.5)
    assert [found.low, found.value, found.high] == pytest.approx([0.1 / 37.5, 0.1 / 30, 0.1 / 25])
    assert found.value > usd_per_1k(0.36, capacity(100.0), utilisation=0.5).value
    assert found.conditions["objective"] == "p99 of 200 ms"
    assert found.conditions["utilisation"] == 0.5


def test_a_goodput_of_nothing_is_unknown_and_its_price_too():
    found = goodput(100.0, Measurement("good"), "200 ms")
    assert found.n == 0
    assert usd_per_1k(1.0, found, 0.5).n == 0
    none_in_time = goodput(100.0, Measurement("good", 0.0, 50, 0.0, 0.07), "200 ms")
    assert usd_per_1k(1.0, none_in_time, 0.5).n == 0


@pytest.mark.parametrize(("offered", "share"), [(-1.0, 0.5), (math.nan, 0.5), (1.0, 1.5), (1.0, -0.1)])
def test_an_impossible_goodput_is_refused(offered, share):
    with pytest.raises(SpecError, match=r"`(offered_rps|good)` must be"):
        goodput(offered, Measurement("good", share, 10), "200 ms")
