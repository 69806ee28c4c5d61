from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.stats import binomial_survival
from roadworthy.observe.streams.e_detector import EDetector, bets_against, upper_bound


def errors(rate, n, seed=0):
    return (np.random.default_rng(seed).random(n) < rate).astype(float).tolist()


def alarms(stream, values):
    listener = stream.begin()
    return [at for at, value in enumerate(values) if listener.add(value)]


def test_a_rise_is_found_soon_after_it_happened():
    for seed in range(5):
        found = alarms(EDetector(alpha=1e-5, mean=0.1), [*errors(0.1, 3000, seed), *errors(0.3, 1000, seed + 50)])
        assert found
        assert 3000 <= found[0] < 3200


@pytest.mark.parametrize("best_only", [False, True])
def test_first_alarms_on_one_law_are_as_rare_as_stated(best_only):
    stream = EDetector(alpha=1e-3, mean=0.2, best_only=best_only)
    # The chance of an alarm among the first t values is at most t alpha.
    hit = sum(bool(alarms(stream, errors(0.2, 200, seed))) for seed in range(200))
    assert binomial_survival(hit, 200, 0.2) > 1e-5


def test_the_guarantee_is_used_up_rather_than_given_away():
    found = alarms(EDetector(alpha=1e-3, mean=0.2), errors(0.2, 50_000))
    assert 5 <= len(found) <= 50


def test_values_that_depend_on_each_other_are_no_reason_to_alarm():
    rng = np.random.default_rng(3)
    fair = np.where(rng.random(20_000) < 0.5, 0.02, 0.18)
    # Each value has a mean of 0.1 given all before; its spread swings.
    values = np.clip(0.1 + (fair - 0.1) * np.sign(np.sin(np.arange(20_000) / 40)), 0, 1)
    assert len(alarms(EDetector(alpha=1e-3, mean=0.1), values.tolist())) <= 20


def test_a_fall_is_a_change_where_one_asks_for_it():
    values = [*errors(0.5, 500), *errors(0.2, 500, 1)]
    assert not alarms(EDetector(alpha=1e-4, mean=0.5), values)
    assert 500 <= alarms(EDetector(alpha=1e-4, mean=0.5, side="down"), values)[0] < 600
    assert 500 <= alarms(EDetector(alpha=1e-4, mean=0.5, side="both"), values)[0] < 600


def test_a_mean_that_is_learnt_may_be_unlucky_and_still_does_not_cry_wolf():
    hit = 0
    for seed in range(100):
        hit += bool(alarms(EDetector(alpha=1e-3, learn=50), errors(0.3, 250, seed)))
    # 200 values after the learning, each with at most alpha.
    assert binomial_survival(hit, 100, 0.2) > 1e-5


def test_a_mean_that_a_few_rows_gave_is_trusted_less_than_a_known_one():
    values = [*errors(0.1, 200), *errors(0.25, 2000, 1)]
    known, found = alarms(EDetector(mean=0.1), values), alarms(EDetector(mean=0.1, rows=300), values)
    assert 200 <= known[0] < found[0]
    assert EDetector(mean=0.1, rows=300).threshold > EDetector(mean=0.1).threshold == 10_000


def test_after_an_alarm_it_learns_again():
    values = [*errors(0.1, 1500), *errors(0.6, 6000, 1)]
    found = alarms(EDetector(learn=500), values)
    assert len(found) == 1


def test_with_a_given_mean_it_keeps_saying_that_the_mean_was_left():
    assert len(alarms(EDetector(mean=0.1), errors(0.6, 2000))) > 20


def test_losses_of_little_spread_are_heard_sooner_than_errors_of_the_same_mean():
    rng = np.random.default_rng(0)
    losses = np.clip(0.5 + 0.05 * rng.normal(size=2000), 0, 1).tolist()
    assert alarms(EDetector(mean=0.4), losses)[0] < alarms(EDetector(mean=0.4), errors(0.5, 2000))[0]


def test_a_mean_of_nought_is_left_by_errors_and_not_by_none():
    stream = EDetector(alpha=1e-4, mean=0.0)
    assert not alarms(stream, [0.0] * 1000)
    assert alarms(stream, [0.0] * 100 + [1.0] * 4)
    assert not alarms(EDetector(mean=1.0, side="up"), [1.0] * 1000)


def test_no_bet_can_lose_more_than_all():
    for mean in (0.0, 0.01, 0.3, 0.5, 0.99, 1.0):
        bets = bets_against(mean, 0.02)
        assert (bets > 0).all()
        assert (1 - bets * max(mean, 1e-4) > 0).all()


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 1.0])
def test_the_bound_on_a_mean_misses_as_seldom_as_stated(rate):
    rng = np.random.default_rng(1)
    found = rng.binomial(100, rate, 500) / 100
    missed = sum(upper_bound(mean, 100, 0.05) < rate for mean in found)
    assert binomial_survival(missed, 500, 0.05) > 1e-5
    assert upper_bound(0.0, 100, 0.05) == pytest.approx(1 - 0.05 ** (1 / 100), abs=1e-9)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), float("inf")])
def test_a_value_that_is_no_error_or_loss_is_refused(value):
    with pytest.raises(ValueError, match="between 0 and 1"):
        EDetector().begin().add(value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"alpha": 0.0}, "alpha"), ({"mean": 1.2}, "mean"), ({"learn": 0}, "learn"), ({"least": 1}, "least")],
)
def test_impossible_settings_are_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        EDetector(**wrong)
