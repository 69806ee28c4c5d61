from __future__ import annotations

import numpy as np
import pytest
from msgspec import json

from roadworthy.core.spec import Slo
from roadworthy.observe.alerting.slos import Budget, budget, budgets_text, rules_of
from roadworthy.observe.counts.rollups import Series

NOW = 1_700_000_000.0


def series(requests: float, failed: float, ago_days: float = 1.0) -> Series:
    at = np.array([NOW - ago_days * 86_400]).astype(np.int64)
    counts = {"requests": np.array([requests]), "failed": np.array([failed])}
    return Series(NOW - 90 * 86_400, NOW, at, np.array([3600]), counts)


def test_an_objective_pages_and_leaves_tickets():
    page, ticket = rules_of(Slo("fast", 0.99, 200.0, where="tenant=acme"))
    assert (page.severity, ticket.severity) == ("page", "ticket")
    assert (page.title, ticket.title) == ("slo-fast", "slo-fast-ticket")
    assert page.within_ms == ticket.within_ms == 200.0
    assert page.where == ticket.where == "tenant=acme"


@pytest.mark.parametrize(("failed", "left"), [(0, 1.0), (50, 0.5), (100, 0.0), (150, -0.5)])
def test_what_is_left_of_the_budget_has_an_interval(failed, left):
    found = budget(Slo("a"), series(100_000, failed), NOW)
    assert found.left.value == pytest.approx(left)
    assert found.left.low <= found.left.value <= found.left.high
    assert found.good.value == pytest.approx(1 - failed / 100_000)


def test_what_is_older_than_the_objective_is_forgotten():
    found = budget(Slo("a", days=7.0), series(1000, 500, ago_days=8.0), NOW)
    assert found.left.n == 0
    assert "no requests in 7 days" in budgets_text([found])


def test_budgets_are_told_in_a_line_and_go_to_json_and_back():
    found = budget(Slo("checkout", within_ms=300.0, where="tenant=acme"), series(100_000, 50), NOW)
    assert budgets_text([found]).startswith(
        "checkout             0.999 answered within 300 ms on tenant=acme: 99.9500% good, 50% [34%, 62%] of the budget"
    )
    assert json.decode(json.encode(found), type=Budget) == found
    assert "slos:" in budgets_text([])
