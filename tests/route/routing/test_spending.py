from __future__ import annotations

from roadworthy.route.routing.spending import Spending


def test_what_is_reserved_counts_until_it_is_settled() -> None:
    cap = Spending(usd_per_hour=1.0)
    assert cap.allows(0.6, 0.0)
    cap.reserve(0.6)
    assert not cap.allows(0.6, 1.0)
    cap.settle(0.6, 0.2, 2.0)
    assert cap.allows(0.6, 3.0)
    assert cap.spent == (0.2, 0.2)


def test_a_new_hour_has_room_again_and_the_day_goes_on() -> None:
    cap = Spending(usd_per_hour=1.0, usd_per_day=1.5)
    cap.settle(0.0, 1.0, 3599.0)
    assert not cap.allows(0.1, 3599.5)
    assert cap.allows(0.5, 3600.0)
    cap.settle(0.0, 0.5, 3601.0)
    assert not cap.allows(0.1, 7200.0)
    assert cap.allows(1.0, 86_400.0)


def test_an_unknown_price_is_never_allowed_and_refusals_are_counted() -> None:
    cap = Spending(usd_per_day=100.0)
    assert not cap.allows(None, 0.0)
    assert cap.refused == 1
