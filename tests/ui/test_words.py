from __future__ import annotations

import math

import pytest

from roadworthy.core.measure import Measurement
from roadworthy.ui.words import count, interval, metric_name, month_name, number, signed


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.7115, "1", "0.712"),
        (-0.5, "1", "−0.500"),
        (1367, "1", "1,367"),
        (12.34, "ms", "12.3 ms"),
        (0.512, "nats", "0.512"),
        (math.inf, "ms", "∞"),
        (math.nan, "ms", "–"),
        (0.0, "usd", "$0.00"),
        (0.0000025, "usd", "$0.0000025"),
        (1234.5, "usd", "$1,234.50"),
        (-2.5, "usd", "−$2.50"),
    ],
)
def test_a_number_has_the_digits_it_deserves(value: float, unit: str, said: str) -> None:
    assert number(value, unit) == said


def test_a_change_has_its_sign() -> None:
    assert (signed(0.02), signed(-0.02), signed(math.nan)) == ("+0.020", "−0.020", "–")


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.1, 0.2, "[0.100, 0.200]"), (0.5, 0.5, ""), (9, math.inf, "[9, ∞]")]
)
def test_an_interval_is_shown_when_it_says_something(low: float, high: float, said: str) -> None:
    assert interval(Measurement("x", 0.5, 10, low, high)) == said


def test_names_are_read_by_people() -> None:
    assert metric_name("managed_ece") == "Managed ECE"
    assert metric_name("log_loss") == "Log loss"
    assert month_name("2013-12") == "Dec"
    assert (count(0, "row"), count(1, "row")) == ("0 rows", "1 row")
