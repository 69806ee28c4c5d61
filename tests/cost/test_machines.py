"""The cheapest machine is the one whose good answers cost least, and a fleet is paid for by the hour."""

from __future__ import annotations

import math

import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Measurement
from roadworthy.cost.machines import Demand, Machine, fleet, price_list

SMALL, LARGE = Machine("small", 0.36), Machine("large", 1.44)


def rps(value, low=None, n=100):
    return Measurement("goodput_rps", value, n, value if low is None else low, value, "rps")


def test_the_cheapest_machine_comes_first_and_the_unmeasured_last():
    goodputs = {"large": rps(100.0), "idle": Measurement("goodput_rps"), "small": rps(10.0)}
    found = price_list([SMALL, LARGE, Machine("idle", 0.01)], goodputs, utilisation=0.5)
    assert [price.where for price in found] == ["large", "small", "idle"]
    assert [price.value for price in found[:2]] == pytest.approx([0.4 / 50, 0.1 / 5])
    assert found[2].n == 0


def test_a_machine_that_is_not_in_the_table_is_named():
    with pytest.raises(SpecError, match=r"no machine named 'smal'; did you mean 'small'\? \(known: large, small\)"):
        price_list([SMALL, LARGE], {"smal": rps(1.0)}, 0.5)


def test_a_fleet_worked_out_by_hand():
    # 35 a second at the peak and 10 by one machine (9 for sure) need 4: 4 x 0.36 / 3600 s, shared by 8 a second.
    found = fleet(SMALL, rps(10.0, low=9.0), Demand(mean_rps=8.0, peak_rps=35.0))
    assert found is not None
    assert found.count == 4
    assert found.usd_per_1k.value == pytest.approx(4 * 0.0001 / 8 * 1000)
    assert found.usd_per_1k.conditions["utilisation"] == pytest.approx(0.2)
    assert found.usd_per_1k.conditions["machines"] == 4


def test_a_small_demand_still_pays_for_a_whole_machine():
    found = fleet(LARGE, rps(1000.0), Demand(mean_rps=0.1, peak_rps=0.2))
    assert found is not None
    assert found.count == 1
    assert found.usd_per_1k.value == pytest.approx(4.0)


@pytest.mark.parametrize("measured", [Measurement("goodput_rps"), rps(10.0, low=0.0), rps(10.0, low=-math.inf)])
def test_a_goodput_that_nothing_bounds_below_makes_no_fleet(measured):
    assert fleet(SMALL, measured, Demand(1.0, 2.0)) is None


@pytest.mark.parametrize("usd", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_machine_is_refused(usd):
    with pytest.raises(SpecError, match="`usd_per_hour` of machine 'm' must be above 0, got"):
        Machine("m", usd)


@pytest.mark.parametrize(("mean", "peak"), [(0.0, 1.0), (2.0, 1.0), (1.0, math.inf), (math.nan, 1.0)])
def test_an_impossible_demand_is_refused(mean, peak):
    with pytest.raises(SpecError, match="`mean_rps` must be above 0 and at most `peak_rps`"):
        Demand(mean, peak)
