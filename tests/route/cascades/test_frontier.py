from __future__ import annotations

import numpy as np
import pytest

from roadworthy.route.cascades.frontier import guessed_curve, ideal_delegation, ideal_of_confidence


def by_trying_all(scores, truth, target):
    """The definition, slowly."""
    edges = [*np.unique(scores).tolist(), 2.0]
    best = 1.0
    for low in edges:
        for high in (e for e in edges if e >= low):
            sent = (scores >= low) & (scores < high)
            answers = np.where(sent, truth, scores >= high)
            hits = (answers & truth).sum()
            if hits >= target * answers.sum() - 1e-9 and hits >= target * truth.sum() - 1e-9:
                best = min(best, sent.mean())
    return best


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("target", [0.7, 0.9, 0.95])
def test_the_ideal_is_the_best_of_all_pairs(seed, target):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(60), 1 + seed % 2)
    truth = rng.random(60) < scores
    assert ideal_delegation(scores, truth, target, target) == pytest.approx(by_trying_all(scores, truth, target))


def test_rows_without_a_score_are_part_of_the_ideal():
    assert ideal_delegation(np.array([np.nan, 0.1, 0.9]), np.array([True, False, True]), 0.9, 0.9) == pytest.approx(
        1 / 3
    )


def test_one_confidence_keeps_the_surest_rows():
    points = ideal_of_confidence(np.arange(10) / 10, np.arange(10) >= 4)
    assert {p.reached[0]: p.delegation for p in points}[0.9] == pytest.approx(0.3)


def test_the_guessed_curve_counts_what_it_sends_on_and_gets_wrong():
    chance = np.array([0.0, 0.5, 0.5, 1.0])
    (start, *_, end) = guessed_curve(chance, np.array([0, 2]), np.array([0, 2]), 1, 5)
    assert (start.delegation, start.reached) == (0.8, (1.0, 1.0))
    assert end.delegation == 0.0
    assert end.reached == pytest.approx((2.5 / 3.0, 2.5 / 3.0))
