"""Evidence and bounds hold at every look: exactly where they can be counted, by simulation elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from roadworthy.rollout.statistics.sequential import (
    BATCHES,
    RATIOS,
    STUDENT,
    block_ends,
    difference_of_split,
    evidence,
    evidence_of_pairs,
    evidence_of_split,
    gap_bounds,
    mean_bounds,
    rate_bounds,
    spread_in_time,
)


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_more_rows_only_add_blocks_behind(rows: int, more: int) -> None:
    ends = block_ends(rows)
    assert np.array_equal(block_ends(rows + more)[: len(ends)], ends)
    assert (ends <= rows).all()
    assert (np.diff(ends) >= 16).all()


def test_little_waits_in_the_unfinished_block() -> None:
    for rows in (100, 1_000, 10_000, 200_000):
        assert rows - block_ends(rows)[-1] <= max(rows / 2, 128) * (1 if rows < 2_000 else 1 / 8)


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))))
def test_a_block_dealt_by_chance_is_an_e_value_whatever_was_hit(drawn: tuple[int, int, int]) -> None:
    rows, on_candidate, hits = drawn
    expected = sum(
        math.comb(hits, x)
        * math.comb(rows - hits, on_candidate - x)
        / math.comb(rows, on_candidate)
        * math.exp(float(evidence([x], [hits], [on_candidate], [rows])[-1]))
        for x in range(max(0, on_candidate + hits - rows), min(on_candidate, hits) + 1)
    )
    assert expected <= 1 + 1e-12


def test_the_expectation_over_the_dealing_is_that_of_scipy() -> None:
    rows, on_candidate, hits = 400, 60, 9
    dealt = stats.hypergeom(rows, on_candidate, hits)
    x = np.arange(hits + 1)
    values = [math.exp(float(evidence([k], [hits], [on_candidate], [rows])[-1])) for k in x]
    assert float(np.sum(stats.binom(hits, on_candidate / rows).pmf(x) * values)) == pytest.approx(1)
    assert 0.8 < float(np.sum(dealt.pmf(x) * values)) <= 1
    assert np.argsort(values).tolist() == x.tolist()


def test_evidence_of_one_ratio_is_a_likelihood_ratio_of_two_binomials() -> None:
    share, hits, on_candidate = 0.2, 30, 14
    shares = RATIOS * share / (1 + share * (RATIOS - 1))
    logs = stats.binom.logpmf(on_candidate, hits, shares) - stats.binom.logpmf(on_candidate, hits, share)
    found = float(evidence([on_candidate], [hits], [200], [1000])[-1])
    assert logs.min() < found < logs.max()
    # The mixture is that of the weights, which are not told here: at least a fortieth of the best of them.
    assert found > logs.max() - math.log(40)


def test_an_equally_good_candidate_is_alarmed_at_most_alpha_of_the_time_even_when_errors_come_in_bursts() -> None:
    rng, alpha, runs = np.random.default_rng(0), 0.05, 400
    alarms = 0
    for _ in range(runs):
        rate = np.where((np.arange(6000) // 500) % 3 == 2, 0.2, 0.002)
        logs = evidence_of_split(rng.random(6000) < 0.1, rng.random(6000) < rate)
        alarms += bool(logs.max() >= math.log(1 / alpha))
    assert alarms / runs <= alpha


def test_a_better_candidate_is_alarmed_even_less() -> None:
    rng = np.random.default_rng(1)
    candidate = rng.random((200, 4000)) < 0.3
    hit = rng.random((200, 4000)) < np.where(candidate, 0.01, 0.03)
    assert sum(evidence_of_split(c, h).max() >= math.log(20) for c, h in zip(candidate, hit, strict=True)) <= 2


def test_evidence_against_five_times_the_errors_comes_within_two_hundred_canary_requests() -> None:
    rng, stopped = np.random.default_rng(2), []
    for _ in range(100):
        candidate = rng.random(20_000) < 0.05
        logs = evidence_of_split(candidate, rng.random(20_000) < np.where(candidate, 0.05, 0.01))
        first = int(np.argmax(logs >= math.log(1 / 0.035)))
        stopped.append(int(candidate[: block_ends(20_000)[first]].sum()))
    assert np.median(stopped) <= 150


def test_evidence_is_the_same_for_what_has_been_seen_when_more_arrives() -> None:
    rng = np.random.default_rng(3)
    candidate, hit = rng.random(3000) < 0.2, rng.random(3000) < 0.05
    early, late = evidence_of_split(candidate[:1000], hit[:1000]), evidence_of_split(candidate, hit)
    assert np.allclose(late[: len(early)], early)


def test_blocks_of_one_arm_or_without_hits_say_nothing() -> None:
    assert evidence([0, 3, 0], [0, 3, 4], [5, 8, 0], [20, 8, 8])[-1] == pytest.approx(0)
    assert len(evidence_of_split(np.zeros(5, bool), np.zeros(5, bool))) == 0


def test_pairs_hit_on_both_sides_say_nothing() -> None:
    both = np.ones(50, bool)
    assert len(evidence_of_pairs(both, both)) == 0
    one_sided = evidence_of_pairs(np.zeros(12, bool), np.ones(12, bool))
    assert (np.diff(one_sided) > 0).all()
    assert one_sided[-1] > math.log(20)


def test_equal_pairs_alarm_at_most_alpha_of_the_time() -> None:
    rng = np.random.default_rng(4)
    alarms = [
        evidence_of_pairs(rng.random(3000) < 0.1, rng.random(3000) < 0.1).max() >= math.log(20) for _ in range(300)
    ]
    assert np.mean(alarms) <= 0.05


def test_rate_bounds_invert_the_mixture_that_scipy_integrates() -> None:
    hits, n, alpha = 7, 150, 0.05
    priors = [stats.beta(0.5, 0.5), stats.beta(0.5, 50)]
    mixed = integrate.quad(
        lambda p: sum(prior.pdf(p) for prior in priors) / 2 * p**hits * (1 - p) ** (n - hits), 0, 1, points=[0.05]
    )[0]
    for bound in rate_bounds(hits, n, alpha):
        assert bound**hits * (1 - bound) ** (n - hits) == pytest.approx(alpha * mixed, rel=1e-5)


def test_gap_bounds_enclose_the_gap_seen_and_say_something_after_no_hit_at_all() -> None:
    low, high = gap_bounds(6, 200, 1, 200, 0.05)
    assert low < 0.025 < high
    assert gap_bounds(0, 200, 0, 200, 0.05)[1] > 0.005
    assert gap_bounds(0, 200, 0, 200, 0.05)[0] == -gap_bounds(0, 200, 0, 200, 0.05)[1]


def test_gap_bounds_hold_at_all_looks_together() -> None:
    rng, missed = np.random.default_rng(11), 0
    for _ in range(100):
        one, other = np.cumsum(rng.random((2, 2000)) < [[0.03], [0.01]], axis=1)
        bounds = [gap_bounds(int(one[n - 1]), n, int(other[n - 1]), n, 0.05) for n in (10, 50, 200, 500, 1000, 2000)]
        missed += any(not low <= 0.02 <= high for low, high in bounds)
    assert missed <= 5


def test_rate_bounds_hold_at_all_looks_together() -> None:
    rng, missed = np.random.default_rng(5), 0
    for rate in (0.003, 0.05, 0.5):
        for _ in range(60):
            hits = np.cumsum(rng.random(3000) < rate)
            bounds = [rate_bounds(int(hits[n - 1]), n, 0.05) for n in (1, 5, 20, 50, 100, 200, 500, 1000, 2000, 3000)]
            missed += any(not low <= rate <= high for low, high in bounds)
    assert missed / 180 <= 0.05


@given(st.integers(0, 300), st.integers(0, 300))
def test_rate_bounds_enclose_the_rate_seen_and_mirror_nothing_impossible(hits: int, misses: int) -> None:
    low, high = rate_bounds(hits, hits + misses, 0.05)
    seen = hits / (hits + misses) if hits + misses else 0.5
    assert 0 <= low <= seen <= high <= 1


def test_no_hit_in_six_hundred_is_under_one_percent() -> None:
    assert rate_bounds(0, 600, 0.025)[1] < 0.01
    assert rate_bounds(0, 300, 0.025)[1] > 0.01
    assert rate_bounds(0, 0, 0.05) == (0.0, 1.0)


def test_mean_bounds_hold_at_all_looks_together() -> None:
    rng, missed = np.random.default_rng(6), 0
    looks = np.arange(200, 4001, 50)
    for _ in range(300):
        values = rng.exponential(1.0, 4000)
        sums, squares = np.cumsum(values)[looks - 1], np.cumsum(values**2)[looks - 1]
        means = sums / looks
        spreads = np.sqrt(squares / looks - means**2)
        bounds = [mean_bounds(m, s, n, 0.05, 1000) for m, s, n in zip(means, spreads, looks, strict=True)]
        missed += any(not low <= 1 <= high for low, high in bounds)
    assert missed / 300 <= 0.05


def test_mean_bounds_are_narrowest_where_they_are_tuned() -> None:
    width = {tuned: mean_bounds(0, 1, 1000, 0.05, tuned)[1] for tuned in (50, 1000, 50_000)}
    assert min(width, key=lambda tuned: width[tuned]) == 1000
    assert mean_bounds(0.3, 1.0, 1, 0.05, 1000) == (-math.inf, math.inf)


def test_mean_bounds_are_those_of_the_paper() -> None:
    n, alpha, tuned_at = 700, 0.05, 1000
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / tuned_at
    half = 2.0 * math.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * math.log(math.sqrt(n * rho2 + 1) / alpha))
    assert mean_bounds(0.5, 2.0, n, alpha, tuned_at) == pytest.approx((0.5 - half, 0.5 + half))


def test_the_bounds_lie_where_students_tail_is_as_much_wider_as_we_take_it() -> None:
    for n in (500, 1000, 5000):
        z = mean_bounds(0, 1, n, 0.05, 1000)[1] * math.sqrt(n)
        assert stats.t.isf(stats.norm.sf(z), BATCHES - 1) / z == pytest.approx(STUDENT, rel=0.03)


def test_rows_that_share_a_fate_spread_more_than_rows_that_do_not() -> None:
    rng = np.random.default_rng(8)
    alone = rng.normal(size=2400)
    together = np.repeat(rng.normal(size=48), 50)
    assert 1 <= spread_in_time(alone) / alone.std(ddof=1) < 2
    assert 5 < spread_in_time(together) / together.std(ddof=1) < 14
    assert spread_in_time(alone[:20]) == pytest.approx(alone[:20].std(ddof=1))
    assert math.isinf(spread_in_time(alone[:1]))


def test_bounds_hold_when_storms_of_a_tenth_of_the_data_suit_one_model() -> None:
    rng, missed, plain = np.random.default_rng(9), 0, 0
    for _ in range(300):
        values = rng.normal(0, 1, 3000) + np.repeat(rng.normal(0, 0.5, 60), 50)
        for n in (1000, 2000, 3000):
            seen = values[:n]
            missed += not abs(seen.mean()) <= mean_bounds(0, spread_in_time(seen), n, 0.05, 1000)[1]
            plain += not abs(seen.mean()) <= mean_bounds(0, float(seen.std()), n, 0.05, 1000)[1]
    assert missed / 900 <= 0.01
    assert plain / 900 > 0.1


def test_a_difference_within_blocks_is_the_regression_with_a_level_a_block() -> None:
    rng = np.random.default_rng(10)
    candidate, value = rng.random(700) < 0.3, rng.normal(size=700)
    ends = block_ends(700)
    levels = np.searchsorted(ends, np.arange(700), side="right")[:, None] == np.arange(len(ends) + 1)
    found = np.linalg.lstsq(np.column_stack([candidate, levels]).astype(float), value, rcond=None)[0][0]
    assert difference_of_split(candidate, value)[0] == pytest.approx(found)


def test_a_ramp_in_harder_times_does_not_make_the_candidate_look_worse() -> None:
    rng = np.random.default_rng(7)
    late = np.arange(8000) >= 4000
    candidate = rng.random(8000) < np.where(late, 0.5, 0.1)
    value = rng.normal(0, 0.3, 8000) + late
    plain = value[candidate].mean() - value[~candidate].mean()
    difference, spread, effective = difference_of_split(candidate, value)
    assert plain > 0.3
    assert abs(difference) < 3 * spread / math.sqrt(effective)
    assert difference_of_split(candidate, value + 0.2 * candidate)[0] == pytest.approx(difference + 0.2)


def test_one_arm_alone_has_no_difference() -> None:
    difference, spread, effective = difference_of_split(np.zeros(100, bool), np.ones(100))
    assert math.isnan(difference)
    assert math.isinf(spread)
    assert effective == 0
