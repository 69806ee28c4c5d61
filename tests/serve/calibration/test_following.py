from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from roadworthy.core.errors import SpecError
from roadworthy.core.stats import log_losses
from roadworthy.serve.calibration.following import Following, evidence, numbers_of, state_of, told, value_of
from roadworthy.serve.calibration.methods import apply
from roadworthy.serve.calibration.sums import add_losses, add_odds, fit_curve, fit_line, fit_temperature
from roadworthy.serve.wrappers import beta_calibrated, calibrated, temperature
from roadworthy.serve.wrappers.beta_calibrated import BetaCalibrated
from roadworthy.serve.wrappers.calibrated import Calibrated
from roadworthy.serve.wrappers.isotonic import IsotonicCalibrated
from roadworthy.serve.wrappers.temperature import Temperature

DAY = 86_400.0


def traffic(days, true, a_day=100, seed=0, storm=0.0):
    """Labels, what the model says, and when each label was known; the log-odds of a day share a storm."""
    rng = np.random.default_rng(seed)
    n = days * a_day
    p = rng.uniform(0.05, 0.95, n)
    honest = true.calibrate(p)
    shift = np.repeat(rng.normal(0, storm, days), a_day)
    odds = np.log(honest / (1 - honest)) + shift
    return (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(float), p, np.arange(n) / a_day * DAY


def test_sums_give_the_numbers_that_all_rows_give():
    y, p, _ = traffic(40, Calibrated(0.5, -0.4))
    line, curve = calibrated.fit(y, p), beta_calibrated.fit(y, p)
    sums = add_odds(y[:999], p[:999]) + add_odds(y[999:], p[999:])
    found = fit_line(sums)
    assert (found["slope"], found["intercept"]) == (
        pytest.approx(line.slope, abs=0.01),
        pytest.approx(line.intercept, abs=0.01),
    )
    bent = BetaCalibrated(**fit_curve(sums)).calibrate(p)
    np.testing.assert_allclose(bent, curve.calibrate(p), atol=0.01)
    assert fit_line(add_odds(np.ones(50), p[:50])) is None
    assert fit_curve(add_odds(np.zeros(50), p[:50])) is None


def test_losses_give_the_temperature_that_all_rows_give():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (4000, 4))
    y = np.array([rng.choice(4, p=p) for p in softmax(scores / 1.7, axis=1)], float)
    found = fit_temperature(add_losses(y[:999], scores[:999], "logits") + add_losses(y[999:], scores[999:], "logits"))
    assert found["temperature"] == pytest.approx(temperature.fit(y, scores).temperature, rel=0.005)
    certain = fit_temperature(add_losses(scores.argmax(axis=1).astype(float), scores, "logits"))
    assert certain["temperature"] == pytest.approx(0.1)


@pytest.mark.parametrize("guard", ["following", "each"])
def test_what_became_wrong_is_mended_and_what_is_mended_stays(guard):
    y, p, known = traffic(300, Calibrated(0.6, -1.0))
    following = Following(Calibrated(), guard)
    state = following.after(following.start, y, p, known)
    assert state.changes >= 1
    assert state.force["slope"] == pytest.approx(0.6, abs=0.2)
    assert state.force["intercept"] == pytest.approx(-1.0, abs=0.25)
    assert state.follows == (guard == "following")
    mended = apply(Calibrated(**state.force), p)
    assert log_losses(y, mended).mean() < log_losses(y, p).mean() - 0.05


def test_what_follows_is_given_up_once_it_is_worse_than_the_release():
    """Labels that ended up wrong for a while: what followed them is shown to be worse when they are right again."""
    wrong, right = traffic(150, Calibrated(0.3, -2.0)), traffic(250, Calibrated(), seed=1)
    following = Following(Calibrated(), half_life=60_000.0)
    state = following.after(following.start, *wrong)
    assert state.follows
    state = following.after(state, right[0], right[1], right[2] + 150 * DAY)
    assert (state.follows, state.changes, state.force) == (False, 2, {"slope": 1.0, "intercept": 0.0})


def test_what_follows_forgets_what_was():
    one, other = traffic(150, Calibrated(0.5, -1.5)), traffic(40, Calibrated(0.5, 1.0), seed=1)
    following = Following(Calibrated(), half_life=1000.0)
    state = following.after(following.start, *one)
    assert (state.follows, state.force["intercept"]) == (True, pytest.approx(-1.5, abs=0.25))
    state = following.after(state, other[0], other[1], other[2] + 150 * DAY)
    assert (state.follows, state.force["intercept"]) == (True, pytest.approx(1.0, abs=0.3))


@pytest.mark.parametrize(("guard", "storm"), [("following", 0.0), ("each", 0.0), ("following", 0.7)])
def test_what_is_right_is_seldom_changed(guard, storm):
    """At most alpha of the runs, ever: 100 runs of 60 days with alpha 0.1, and binomial tolerance."""
    # Storms flatten the honest curve; what is honest on average is in force.
    start = calibrated.fit(*traffic(3000, Calibrated(), 20, 99, storm)[:2])
    following = Following(start, guard, alpha=0.1, least_rows=100)
    changed = 0
    for seed in range(100):
        changed += following.after(following.start, *traffic(60, Calibrated(), 20, seed, storm)).changes > 0
    assert changed <= 19


def test_calls_may_be_cut_anywhere_and_a_dial_carries_the_state():
    y, p, known = traffic(80, Calibrated(0.5, -1.2))
    following = Following(Calibrated(), least_rows=200)
    whole = following.after(following.start, y, p, known)
    state = following.start
    for part in np.array_split(np.arange(len(y)), 37):
        state = following.after(state, y[part], p[part], known[part])
        state = state_of(value_of(state), following.start)
    one, other = value_of(whole), value_of(state)
    assert one.keys() == other.keys()
    for name in one:
        assert other[name] == pytest.approx(one[name], rel=1e-9, abs=1e-9)


def test_no_label_changes_the_answers_of_its_own_block():
    y, p, known = traffic(200, Calibrated(0.3, -2.0))
    following = Following(Calibrated())
    state = following.start
    for day in range(200):
        rows = slice(day * 100, day * 100 + 50)
        before = following.after(state, y[rows], p[rows], known[rows])
        after = following.after(before, 1 - y[rows.stop : rows.stop + 50], p[rows.stop : rows.stop + 50], known[rows])
        assert after.force == before.force
        state = before


def test_a_label_that_comes_late_counts_to_the_open_block():
    y, p, known = traffic(3, Calibrated())
    following = Following(Calibrated())
    state = following.after(following.start, y, p, known)
    late = following.after(state, y[:5], p[:5], known[:5])
    assert (late.block, late.rows) == (state.block, state.rows + 5)


def test_it_says_where_it_stands():
    following = Following(Calibrated(), least_rows=250)
    assert told(following.start, following) == "too few labels yet to fit again"
    assert evidence(following.start) == 1.0
    kept = following.after(following.start, *traffic(20, Calibrated()))
    assert told(kept, following).startswith("kept: evidence")
    assert "of the 20 that a change takes" in told(kept, following)
    mended = following.after(following.start, *traffic(200, Calibrated(0.3, -2.0)))
    assert told(mended, following).startswith("followed: evidence")
    assert "of the 60 that" in told(mended, following)


def test_classes_are_followed_by_their_temperature():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (8000, 3))
    y = np.array([rng.choice(3, p=p) for p in softmax(scores / 3, axis=1)], float)
    following = Following(Temperature())
    state = following.after(following.start, y, scores, np.arange(8000) / 100 * DAY)
    assert state.force["temperature"] == pytest.approx(3.0, rel=0.15)
    assert state.follows


def test_steps_cannot_be_followed():
    with pytest.raises(SpecError, match="'isotonic' cannot be fitted again from sums; allowed: calibrated"):
        numbers_of(IsotonicCalibrated())
