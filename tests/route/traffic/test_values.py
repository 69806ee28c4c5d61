from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.route.traffic.traffic import Traffic
from roadworthy.route.traffic.values import Way, difference, effective_rows, value

RUNS = 250
# Four standard deviations of a share of 0.95 in so many runs.
TOLERANCE = 4 * (0.95 * 0.05 / RUNS) ** 0.5


def traffic(rng: np.random.Generator, n: int = 1500, audit: float = 0.05, explore: float = 0.05) -> Traffic:
    """Routed rows in requests of 1 to 4 alike rows: the strong model is right at 0.9, the weak at 0.9 or 0.4."""
    requests = np.repeat(np.arange(n), rng.integers(1, 5, n))[:n]
    hard = (rng.random(n) < 0.4)[requests]
    luck = 0.5 * rng.random(n)[requests] + 0.5 * rng.random(n)  # rows of one request fare alike
    weak_right = (luck < np.where(hard, 0.45, 0.8)).astype(float)
    strong_right = (rng.random(n) < 0.9).astype(float)
    wanted = hard ^ (rng.random(n) < 0.1)[requests]
    drawn = rng.random(n)[requests]
    saw_both, swapped = drawn < audit, (drawn >= audit) & (drawn < audit + explore)
    saw_strong = saw_both | (wanted ^ swapped)
    saw_weak = saw_both | (~wanted ^ swapped)
    likely, seldom = 1 - explore, audit + explore
    chance_strong, chance_weak = np.where(wanted, likely, seldom), np.where(wanted, seldom, likely)
    return Traffic(
        "small",
        "large",
        requests.astype(object),
        np.arange(n, dtype=float),
        [{}] * n,
        np.where(hard, "hard", "easy").astype(object),
        np.where(hard, 0.5, 0.0),
        wanted,
        saw_strong,
        np.where(saw_weak, weak_right, np.nan),
        np.where(saw_strong, strong_right, np.nan),
        chance_weak,
        chance_strong,
        chance_weak,
        chance_strong,
        np.where(saw_weak, 1.0, np.nan),
        np.where(saw_strong, 10.0, np.nan),
    )


def truths() -> tuple[float, float]:
    """How often the weak model is right on easy and on hard rows: the mean of two uniforms lies below 0.8, and 0.45."""
    return 1 - 2 * (1 - 0.8) ** 2, 2 * 0.45**2


@pytest.mark.parametrize(("way", "widest"), [("ips", 0.18), ("snips", 0.12), ("dr", 0.12)])
def test_another_rules_quality_is_covered_as_often_as_it_says(way: Way, widest: float) -> None:
    rng, (easy, _) = np.random.default_rng(11), truths()
    truth = 0.6 * easy + 0.4 * 0.9  # of the rule "hard to the strong model"
    covered, widths = 0, []
    for _ in range(RUNS):
        rows = traffic(rng)
        found = value(rows, np.asarray(rows.segments == "hard"), way)
        covered += found.low <= truth <= found.high
        widths.append(found.high - found.low)
    assert covered / RUNS == pytest.approx(0.95, abs=TOLERANCE)
    assert np.mean(widths) < widest


def test_the_difference_of_rules_is_covered_and_narrower_than_the_values() -> None:
    rng, (_, hard) = np.random.default_rng(12), truths()
    covered, widths, wider = 0, [], []
    for _ in range(RUNS):
        rows = traffic(rng)
        found = difference(rows, np.asarray(rows.segments == "hard"), np.zeros(rows.n, bool))
        covered += found.low <= 0.4 * (0.9 - hard) <= found.high
        widths.append(found.high - found.low)
        one = value(rows, np.zeros(rows.n, bool))
        wider.append(one.high - one.low)
    assert covered / RUNS == pytest.approx(0.95, abs=TOLERANCE)
    assert np.mean(widths) < 1.5 * np.mean(wider)


def test_a_naive_mean_of_what_was_seen_would_be_biased() -> None:
    rng, (easy, hard) = np.random.default_rng(13), truths()
    rows = traffic(rng, 20_000)
    naive, truth = np.nanmean(rows.weak_right), 0.6 * easy + 0.4 * hard
    found = value(rows, np.zeros(rows.n, bool))
    assert naive > truth + 0.1
    assert found.low <= truth <= found.high


def test_prices_are_estimated_alike() -> None:
    rows = traffic(np.random.default_rng(14))
    found = value(rows, np.ones(rows.n, bool), outcome="usd")
    assert (found.value, found.unit) == (pytest.approx(10.0), "usd")


def test_rows_that_had_no_chance_widen_the_interval_by_their_share() -> None:
    rows = traffic(np.random.default_rng(15), audit=0.0, explore=0.0)
    everyone = np.ones(rows.n, bool)
    found = value(rows, everyone)
    never = 1 - rows.wanted.mean()
    assert found.conditions["unsupported"] == pytest.approx(never)
    assert found.high - found.low > never
    gap = difference(rows, everyone, rows.wanted)
    assert gap.high - gap.low > 2 * never
    assert value(rows, everyone, outcome="usd").high == np.inf


def test_the_recorded_rule_against_itself_is_no_difference() -> None:
    rows = traffic(np.random.default_rng(16))
    found = difference(rows, rows.wanted, rows.wanted)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_effective_rows_are_fewer_than_rows() -> None:
    rows = traffic(np.random.default_rng(17))
    assert effective_rows(rows, rows.wanted) > 0.85 * rows.n
    assert effective_rows(rows, ~rows.wanted) < 0.15 * rows.n


def test_a_rule_must_choose_for_every_row_and_rows_without_an_outcome_measure_nothing() -> None:
    rows = traffic(np.random.default_rng(18))
    with pytest.raises(BadData, match="says True"):
        value(rows, np.ones(3, bool))
    with pytest.raises(BadData, match="float64"):
        value(rows, np.ones(rows.n))
    blind = rows.take(np.arange(5))
    blind.weak_right[:] = blind.strong_right[:] = np.nan
    assert value(blind, blind.wanted).n == 0
    assert difference(blind, blind.wanted, ~blind.wanted).n == 0
