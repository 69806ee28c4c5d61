from __future__ import annotations

import math

import pytest

from roadworthy.core.measure import Measurement
from roadworthy.ui.words import count, interval, metric_name, month_name, number, signed, visible


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
        (0.00042, "1", "0.00042"),
        (1e-17, "1", "0.000"),
        (2.345, "1", "2.35"),
        (3.9e8, "bytes", "390 MB"),
        (-21_500.0, "bytes/s", "−21.5 kB/s"),
        (12.0, "bytes", "12 B"),
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


@pytest.mark.parametrize("text", ["plain", "two\nlines", "naïve 漢字 🙂"])
def test_text_that_can_be_read_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_what_cannot_be_seen_is_written_out() -> None:
    assert visible("a\x00\ud800\u202eb\x85") == "a\\u0000\\ud800\\u202eb\\u0085"
    visible("\udfff").encode("utf-8")


def test_names_are_read_by_people() -> None:
    assert metric_name("managed_ece") == "Managed ECE"
    assert metric_name("log_loss") == "Log loss"
    assert [metric_name(f"{p}_ms") for p in ("p90", "p999", "single_stream_p90")] == [
        "Latency p90",
        "Latency p99.9",
        "Latency p90",
    ]
    assert month_name("2013-12") == "Dec"
    assert (count(0, "row"), count(1, "row")) == ("0 rows", "1 row")
