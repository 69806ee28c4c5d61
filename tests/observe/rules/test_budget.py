from __future__ import annotations

import numpy as np
import pytest

from roadworthy.observe.counts.rollups import Columns, Series
from roadworthy.observe.rules.budget import Budget

NOW = 1_700_000_000.0


def priced(usd_each: float, n: int = 1000, spread: float = 0.2, unpriced: int = 0) -> Series:
    usd = np.random.default_rng(0).normal(usd_each, spread * usd_each, n)
    at = np.array([int(NOW) - 7200])
    numbers = {"usd": Columns(*(np.array([v]) for v in (float(n), usd.sum(), (usd**2).sum())))}
    return Series(NOW - 86_400, NOW, at, np.array([60]), {"requests": np.array([float(n + unpriced)])}, numbers)


@pytest.mark.parametrize(("usd", "decision"), [(0.002, "fail"), (0.0005, "pass"), (0.001, "wait")])
def test_the_cost_of_a_thousand_is_held_against_the_bound(usd, decision):
    verdict = Budget(1.0)(priced(usd), NOW)
    assert verdict.decision == decision
    assert verdict.evidence[0].value == pytest.approx(1000 * usd, rel=0.05)


def test_answers_without_a_price_are_not_free():
    assert Budget(1.0)(priced(0.002, unpriced=100_000), NOW).decision == "fail"


def test_a_few_answers_say_nothing():
    assert Budget(1.0)(priced(0.1, n=29), NOW).decision == "wait"
    assert Budget(1.0)(priced(0.1, n=1000), NOW + 86_400 * 2).decision == "wait"


def test_a_bound_of_nothing_is_refused():
    with pytest.raises(ValueError, match="usd_per_1k"):
        Budget(0.0)
