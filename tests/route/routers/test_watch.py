from __future__ import annotations

from random import Random

import numpy as np
import pytest

from roadworthy.route.routers.watch import Jumper, Watch


def run(reference: np.ndarray, stream: np.ndarray, alpha: float = 0.05, seed: int = 0) -> Watch:
    watch = Watch(reference.T.tolist(), alpha, Random(seed))
    for row in stream.tolist():
        watch.see(row)
    return watch


def test_streams_that_stay_the_same_alarm_at_most_as_often_as_stated():
    rng, runs = np.random.default_rng(0), 300
    alarms = sum(run(rng.normal(size=(50, 2)), rng.normal(size=(400, 2)), 0.1, k).alarmed for k in range(runs))
    # 10 % of 300, plus four standard deviations.
    assert alarms <= 30 + 4 * 5.2


def test_ties_do_not_alarm():
    rng, runs = np.random.default_rng(1), 200
    alarms = sum(
        run(np.round(rng.random((40, 1)) * 2), np.round(rng.random((300, 1)) * 2), 0.1, k).alarmed for k in range(runs)
    )
    assert alarms <= 20 + 4 * 4.3


def test_a_number_that_never_changes_does_not_alarm_though_the_reference_was_kept_in_single_precision():
    same = np.full((300, 1), 0.1)
    kept = sum(run(same.astype(np.float32), same, 0.01, seed).alarmed for seed in range(40))
    summed = sum(run(same, same + 1e-12, 0.01, seed).alarmed for seed in range(40))
    assert max(kept, summed) <= 2, "1 % of 40, plus two standard deviations"
    assert run(same, np.full((100, 1), 1e39), 0.01).alarmed


@pytest.mark.parametrize("shift", [1.0, -1.0])
def test_a_shift_of_one_number_among_several_is_heard_soon(shift):
    rng = np.random.default_rng(2)
    watch = run(rng.normal(size=(500, 3)), rng.normal([0, shift, 0], size=(300, 3)), 0.01)
    assert 5 < watch.alarmed_at < 150
    assert "unlike" in watch.because


def test_a_shift_after_a_long_calm_is_heard_too():
    rng = np.random.default_rng(3)
    watch = run(
        rng.normal(size=(500, 1)), np.concatenate([rng.normal(size=(2000, 1)), rng.normal(2, 1, (300, 1))]), 0.01
    )
    assert 2000 < watch.alarmed_at < 2200


def test_an_alarm_stays_and_says_when():
    watch = run(np.zeros((100, 1)), np.concatenate([np.ones((60, 1)), np.zeros((500, 1))]), 0.01)
    at = watch.alarmed_at
    assert 0 < at <= 60
    assert watch.see([0.0])
    assert watch.alarmed_at == at


def test_the_capital_is_what_the_paper_says_after_two_steps():
    jumper = Jumper([0.0, 1.0, 2.0])
    # The first value is above all: its rank is 3.5 of 4, the stake 0.375; each bet keeps 99 % and gets a third of 1 %.
    each = 1 / 3
    bets = [each * (1 - 0.375), each, each * (1 + 0.375)]
    assert jumper.see(9.0, 0.5) == pytest.approx(sum(bets))
    stake = 0.5 / 5 - 0.5
    mixed = [0.99 * bet + 0.01 / 3 * sum(bets) for bet in bets]
    assert jumper.see(-1.0, 0.5) == pytest.approx(mixed[0] * (1 - stake) + mixed[1] + mixed[2] * (1 + stake))


@pytest.mark.parametrize(("reference", "alpha"), [([[1.0]], 0.0), ([[1.0]], 1.0), ([], 0.1), ([[]], 0.1)])
def test_a_watch_without_a_level_or_a_reference_is_refused(reference, alpha):
    with pytest.raises(ValueError, match=r"alpha|reference"):
        Watch(reference, alpha)


def test_ties_are_broken_by_the_watchs_own_chance():
    watch, jumper = Watch([[1.0] * 9], 0.01, Random(4)), Jumper([1.0] * 9)
    watch.see([1.0])
    assert watch.capital == jumper.see(1.0, Random(4).random())
