from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from roadworthy.core.sketch import Sketch
from roadworthy.observe.counts.rollups import Series, Sketched
from roadworthy.observe.rules.burn_rate import TICKET, BurnRate, surprise

NOW = 1_700_000_040.0


def minutes(requests, failed, more=None, seconds=None) -> Series:
    """Minute after minute up to NOW."""
    n = len(requests)
    at = (NOW - 60 * np.arange(n, 0, -1)).astype(np.int64)
    counts = {"requests": np.array(requests, float), "failed": np.array(failed, float), **(more or {})}
    return Series(NOW - 60 * n, NOW, at, np.full(n, 60), counts, {}, seconds or {})


def burst(share: float, length: int, rate: int = 200, day: int = 1440) -> Series:
    failed = [0] * (day - length) + [share * rate] * length
    return minutes([rate] * day, failed)


def test_a_burst_of_five_percent_pages_within_six_minutes():
    assert BurnRate()(burst(0.05, 3), NOW).decision != "fail"
    verdict = BurnRate()(burst(0.05, 6), NOW)
    assert verdict.decision == "fail"
    assert "availability (failed): 60 of 2000 requests since 22:04 UTC, 3.00%" in verdict.because
    assert "30 times the budget of 0.001 (bound 18 over 10 minutes)" in verdict.because


def test_a_slow_burn_pages_after_the_hour_and_not_before():
    assert BurnRate()(burst(0.016, 30), NOW).decision != "fail"
    assert "over 60 minutes" in BurnRate()(burst(0.016, 58), NOW).because


def test_what_keeps_to_the_budget_passes():
    assert BurnRate()(burst(0.0005, 1440), NOW).decision == "pass"


def test_one_error_in_three_requests_at_night_pages_nobody():
    assert BurnRate()(minutes([3], [1]), NOW).decision == "wait"
    assert BurnRate()(minutes([1] * 10, [1] * 2 + [0] * 8), NOW).decision != "fail"


def test_a_few_requests_that_all_fail_do_page():
    assert BurnRate()(minutes([2] * 10, [2] * 10), NOW).decision == "fail"


def test_it_ends_when_the_last_minutes_are_calm_and_not_in_between():
    failed = [0] * 1000 + [20] * 30
    assert BurnRate()(minutes([200] * 1030, failed), NOW).decision == "fail"
    still = [*failed, *[0.8] * 31]
    assert BurnRate()(minutes([200] * 1061, still), NOW).decision == "wait"
    calm = [*failed, *[0] * 31]
    assert BurnRate()(minutes([200] * 1061, calm), NOW).decision == "pass"


def test_nothing_in_the_windows_waits():
    assert BurnRate()(minutes([], []), NOW).decision == "wait"


def test_slow_requests_spend_the_budget_too():
    slow = Sketched(np.arange(30), [Sketch.of([0.9] * 20 + [0.1] * 180).to_bytes()] * 30)
    series = minutes([200] * 30, [0] * 30, seconds={"total": slow})
    assert BurnRate()(series, NOW).decision == "pass"
    verdict = BurnRate("latency", within_ms=500)(series, NOW)
    assert verdict.decision == "fail"
    assert "latency (failed or above 500 ms): 200 of 2000" in verdict.because


def test_a_request_that_is_slow_and_fails_is_bad_once():
    slow = Sketched(np.arange(2), [Sketch.of([0.9] * 10).to_bytes()] * 2)
    series = minutes([10, 10], [10, 10], seconds={"total": slow})
    assert BurnRate(within_ms=500).bad(series).tolist() == [10, 10]


def test_errors_of_the_callers_are_forgiven():
    more = {"errors.BadRequest": np.array([40.0] * 30)}
    series = minutes([200] * 30, [40] * 30, more)
    assert BurnRate()(series, NOW).decision == "pass"
    assert BurnRate().total(series).sum() == 30 * 160
    assert BurnRate(forgive=())(series, NOW).decision == "fail"


def test_a_ticket_is_for_a_slow_leak():
    leak = burst(0.0015, 4320, day=4320)
    assert BurnRate()(leak, NOW).decision == "pass"
    ticket = BurnRate(severity="ticket", windows=TICKET)
    assert ticket(leak, NOW).decision == "fail"
    assert (ticket.title, BurnRate().title, ticket.days) == ("slo-availability-ticket", "slo-availability", 3.0)


@pytest.mark.parametrize("n", [3, 40, 900])
@pytest.mark.parametrize("share", [0.001, 0.01, 0.2])
def test_the_bound_on_chance_holds_and_is_not_far_off(n, share):
    hits = np.arange(int(n * share) + 1, min(n, 120))
    bound = np.exp(-surprise(hits, np.full(len(hits), n), share))
    exact = binom.sf(hits - 1, n, share)
    assert (bound >= exact * (1 - 1e-9)).all()
    assert (bound[exact > 1e-12] <= 6 * exact[exact > 1e-12]).all()


def test_clumped_errors_are_fewer_facts():
    assert surprise(20, 1000, 0.001, clump=2.0) == surprise(10, 500, 0.001)
    assert surprise(1, 1000, 0.001) == 0.0
    assert surprise(0, 0, 0.001) == 0.0


@pytest.mark.parametrize(
    ("settings", "told"), [({"at_least": 1.0}, "at_least"), ({"windows": ((1.0, 5.0, 9.0),)}, "short <= long")]
)
def test_settings_that_will_not_do_are_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        BurnRate(**settings)
