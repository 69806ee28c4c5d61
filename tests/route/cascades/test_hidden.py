from __future__ import annotations

import msgspec
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import binom

from roadworthy.route.cascades.hidden import LOST, STAKES, Errors, scored


def played(rng, delta):
    """Ten batches whose errors and draws follow what was found before; whether the bound was ever too low."""
    errors, total = Errors(), 0
    for _ in range(10):
        n = int(rng.integers(200, 900))
        # As thresholds do: the more errors are known, the more daring the next batch.
        chance = np.minimum(rng.random(n) ** 6 + errors.most(delta) / 20_000, 0.6)
        wrong, draws = rng.random(n) < chance, np.clip(rng.uniform(0.3, 1.0) * np.sqrt(chance), 0.05, 1.0)
        hit = rng.random(n) < draws
        total += int(wrong.sum())
        errors = errors.drawn(draws[hit & wrong], float(draws.min()))
        if total > errors.most(delta):
            return True
    return False


def test_the_bound_on_all_errors_is_exceeded_no_oftener_than_delta():
    rng = np.random.default_rng(0)
    exceeded = sum(played(rng, 0.3) for _ in range(400))
    assert exceeded <= binom.ppf(0.999, 400, 0.3)
    # It is a bound of some use, too.
    assert exceeded > 0


@pytest.mark.parametrize("chance", [0.3, 0.7, 1.0])
def test_each_wrong_row_is_worth_its_stake_on_average(chance):
    (score,) = scored(np.array([chance]))
    usable = score < LOST
    mean = (1 - chance) + chance * np.exp(-np.where(usable, score, 0.0))
    assert mean[usable] == pytest.approx(np.exp(-np.array(STAKES)[usable]))
    assert usable.sum() == sum(1 - np.exp(-stake) < chance for stake in STAKES)


def test_the_bound_is_where_the_mean_of_the_bets_has_won_enough():
    for errors in (Errors(), Errors().drawn(np.full(40, 0.3), 0.05), Errors().drawn(np.full(3, 0.01), 0.01)):
        log_mean = logsumexp(np.array(STAKES) * errors.most(0.05) - np.array(errors.scores)) - np.log(len(STAKES))
        assert log_mean == pytest.approx(np.log(1 / 0.05), abs=1e-6)


def test_a_row_that_is_always_drawn_leaves_no_doubt():
    known = Errors().drawn(np.ones(7), 1.0).settled(7, 0, 0.1)
    assert (known.known, known.remaining) == (7, 0.0)


def test_stakes_that_a_draw_is_too_thin_for_are_lost_for_good_and_the_others_go_on():
    thin = Errors().drawn(np.array([0.01]), 0.01)
    assert [score >= LOST for score in thin.scores] == [1 - np.exp(-stake) >= 0.01 for stake in STAKES]
    assert thin.most(0.1) < 1e6
    assert thin.drawn(np.ones(3), 1.0).scores[-1] == LOST
    assert Errors().drawn(np.zeros(0), 1.0) == Errors()


def test_no_more_errors_hide_than_rows_that_nobody_looked_at():
    few = Errors().settled(0, 3, 0.1)
    assert few.remaining == 3.0
    assert few.settled(0, 2, 0.1).remaining == 5.0


def test_it_is_a_monoid_and_goes_to_json():
    a, b = Errors().drawn(np.array([0.5, 0.2]), 0.05), Errors().drawn(np.array([0.9]), 0.9).settled(1, 4, 0.1)
    assert Errors().merge(a) == a == a.merge(Errors())
    assert a.merge(b).scores == pytest.approx(b.merge(a).scores)
    assert msgspec.json.decode(msgspec.json.encode(a.merge(b)), type=Errors) == a.merge(b)
