from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.route.cascades.consistency import flip_rate, widened, widened_share
from roadworthy.route.cascades.fits import Target

NINE = Target(precision=0.9, recall=0.9)


def test_the_bound_lies_above_the_flips_made():
    rng, above = np.random.default_rng(0), 0
    for _ in range(200):
        usual = rng.random(300) < 0.4
        first, second = (usual ^ (rng.random(300) < 0.05) for _ in range(2))
        above += flip_rate(first, second, NINE) >= 0.05
    assert above >= 195


def test_more_repeats_bring_the_bound_down():
    same = np.ones(2000)
    assert flip_rate(same, same, NINE) < flip_rate(same[:50], same[:50], NINE) < 0.06


def test_an_oracle_of_coin_tosses_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(BadData, match="contradicts itself on"):
        flip_rate(rng.random(200) < 0.5, rng.random(200) < 0.5, NINE)
    with pytest.raises(BadData, match="rows answered twice are needed"):
        flip_rate([], [], NINE)


def test_flips_raise_what_must_be_reached():
    assert widened(0.9, 0.8, 0.0, 0.5) == (0.9, 0.8)
    precision, recall = widened(0.9, 0.8, 0.02, 0.5)
    assert precision > 0.9
    assert recall == pytest.approx(0.8 / 0.98)
    assert widened_share(0.9, 0.02) == pytest.approx(0.92)


def test_the_widened_targets_hold_the_targets_with_flips():
    rng = np.random.default_rng(0)
    usual = rng.random(200_000) < 0.3
    precision, recall = widened(0.85, 0.85, 0.02, 0.3)
    positives = usual.sum()
    answers = usual.copy()
    answers[np.flatnonzero(usual)[: int((1 - recall) * positives)]] = False
    wrong = int((1 - precision) / precision * answers.sum())
    answers[np.flatnonzero(~usual)[:wrong]] = True
    kept = np.zeros(len(usual), bool)
    kept[np.flatnonzero(usual)[: int((1 - recall) * positives)]] = kept[np.flatnonzero(~usual)[:wrong]] = True
    answers ^= (rng.random(len(usual)) < 0.02) & ~kept
    hits = (answers & usual).sum()
    assert hits / answers.sum() == pytest.approx(0.85, abs=0.005)
    assert hits / positives >= 0.85 - 0.003


def test_a_target_beyond_the_oracles_own_steadiness_is_refused():
    with pytest.raises(BadData, match=r"flips up to 0\.06"):
        widened(0.9, 0.95, 0.06, 0.5)
    with pytest.raises(BadData, match=r"alone may break 0\.95"):
        widened_share(0.95, 0.06)
