"""Alpha follows labels as the papers write it, in any portions, and coverage comes to the target under drift."""

from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.serve.conformal.following import Following, Seen, Stand
from roadworthy.serve.conformal.thresholds import share_as_strange, threshold_at

RNG = np.random.default_rng(0)
SCORES = sorted(RNG.random(200).tolist())


def stream(n=400):
    return [
        Seen(float(score), bool(held)) for score, held in zip(RNG.random(n) * 1.3, RNG.random(n) < 0.8, strict=True)
    ]


def test_aci_is_the_sum_of_what_was_missed():
    rows = stream()
    rule = Following(0.9, "aci", 0.01)
    alpha = 0.1
    for row in rows:
        alpha += 0.01 * (0.1 - (not row.held))
    stand = rule.follow(rule.start(SCORES), SCORES, rows)
    assert stand.alpha == pytest.approx(alpha)
    assert set(stand.value()) == {"alpha", "offset"}


def test_dtaci_is_the_algorithm_of_the_paper_with_aci_on_top():
    rows, steps, alpha, rows_back = stream(), (0.005, 0.05), 0.1, 100
    rule = Following(0.9, "dtaci", 0.01, steps, rows_back)
    rate = math.sqrt(
        3 / rows_back * (math.log(2 * rows_back) + 2) / ((1 - alpha) ** 2 * alpha**3 + (1 - alpha) ** 3 * alpha**2)
    )
    experts, weights, offset = np.full(2, alpha), np.full(2, 0.5), 0.0
    for row in rows:
        beta = share_as_strange(SCORES, row.score)
        loss = alpha * (beta - experts) - np.minimum(0, beta - experts)
        weights = weights * np.exp(-rate * loss)
        weights = (1 - 1 / (2 * rows_back)) * weights / weights.sum() + 1 / (2 * rows_back) / 2
        experts = experts + np.array(steps) * (alpha - (experts >= beta))
        offset += 0.01 * (alpha - (not row.held))
    stand = rule.follow(rule.start(SCORES), SCORES, rows)
    np.testing.assert_allclose(stand.experts, experts, atol=1e-9)
    np.testing.assert_allclose(stand.weights, weights)
    assert stand.alpha == pytest.approx(float(weights @ experts) + offset)


@pytest.mark.parametrize(
    "rule", [Following(), Following(rule="dtaci"), Following(window=50), Following(rule="dtaci", window=50)]
)
def test_labels_in_portions_and_through_a_stored_value_come_to_the_same(rule):
    rows = stream(150)
    whole = rule.follow(rule.start(SCORES), SCORES, rows)
    stand = rule.start(SCORES)
    for start in range(0, 150, 7):
        stand = Stand.of(dict(rule.follow(stand, SCORES, rows[start : start + 7]).value()))
    assert stand == whole


def test_a_window_holds_the_scores_of_the_last_labels_in_their_order():
    rule, rows = Following(window=50), stream(80)
    stand = rule.follow(rule.start(SCORES), SCORES, rows)
    assert stand.recent == tuple(row.score for row in rows[-50:])
    early = rule.follow(rule.start(SCORES), SCORES, rows[:10])
    assert early.recent == (*SCORES[-40:], *(row.score for row in rows[:10]))


def test_what_nobody_saw_served_counts_as_it_would_be_held_now():
    rule = Following(step=0.1)
    strange, plain = (rule.follow(rule.start(SCORES), SCORES, [Seen(score)]).alpha for score in (2.0, -1.0))
    assert (strange, plain) == pytest.approx((0.1 - 0.09, 0.1 + 0.01))


def simulate(rule, delay, scores_at, n=6000):
    """Whether each set held the truth, its label being known `delay` rows later."""
    rng, stand, served = np.random.default_rng(3), rule.start(SCORES), []
    for k in range(n):
        if k >= delay:
            stand = rule.follow(stand, SCORES, [Seen(*served[k - delay])])
        score = scores_at(k, rng)
        table = sorted(stand.recent) if rule.window else SCORES
        served.append((score, score <= threshold_at(table, 1 - stand.alpha)))
    return np.array([held for _, held in served])


def drifting(k, rng):
    """Scores that grow by half, fall back, and jump."""
    return float(rng.random() * (1.0 + 0.5 * math.sin(k / 500) + 0.4 * (k > 4000)))


@pytest.mark.parametrize("delay", [1, 50])
@pytest.mark.parametrize(
    "rule", [Following(step=0.01), Following(rule="dtaci", step=0.01), Following(step=0.01, window=200)]
)
def test_long_run_coverage_comes_to_the_target_under_drift(rule, delay):
    held = simulate(rule, delay, drifting)
    # Gibbs & Candes 2021, proposition 4.1, and what is still under way.
    assert held.mean() == pytest.approx(0.9, abs=(1.1 / rule.step + delay) / len(held))
    assert held.mean() == pytest.approx(0.9, abs=0.01)


def test_without_following_the_same_stream_is_not_covered():
    held = np.array(
        [drifting(k, rng) <= threshold_at(SCORES, 0.9) for rng in [np.random.default_rng(3)] for k in range(6000)]
    )
    assert held.mean() < 0.85


def test_on_a_calm_stream_alpha_stays_near_where_the_fit_put_it():
    rule = Following(step=0.005)
    stand = rule.start(SCORES)
    scores = RNG.choice(SCORES, 3000)
    for score in scores:
        stand = rule.follow(stand, SCORES, [Seen(float(score))])
    assert stand.alpha == pytest.approx(0.1, abs=0.06)
