"""A certified threshold keeps its risk as often as it says, and is refused where the rows cannot show it."""

from __future__ import annotations

from random import Random

import msgspec
import numpy as np
import pytest
from scipy.stats import beta, binom

from roadworthy.core.errors import BadData
from roadworthy.serve.selective.threshold import EVERYTHING, Certified, bound_at, certify, rows_needed

RISK, DELTA, RUNS = 0.05, 0.1, 300


def rows(n: int, rng: np.random.Generator, worst: float) -> tuple[np.ndarray, np.ndarray]:
    """Sureness uniform in 0 to 1; a row is wrong with probability worst * (1 - sureness)."""
    sure = rng.random(n)
    return sure, rng.random(n) < worst * (1 - sure)


def true_risk(threshold: float, worst: float) -> float:
    """The errors among what is surer than the threshold: worst * (1 - threshold) / 2."""
    return worst * (1 - max(threshold, 0.0)) / 2


@pytest.mark.parametrize(("n", "worst"), [(4000, 0.4), (1000, 0.15), (2000, 0.101)])
def test_the_risk_is_broken_no_more_often_than_delta(n: int, worst: float) -> None:
    rng, broken, coverages = np.random.default_rng(0), 0, []
    for seed in range(RUNS):
        try:
            found = certify(*rows(n, rng, worst), RISK, DELTA, Random(seed))
        except BadData:
            continue
        broken += true_risk(found.threshold, worst) > RISK
        coverages.append(1 - max(found.threshold, 0.0))
    assert broken <= binom.ppf(0.999, RUNS, DELTA)
    assert len(coverages) > 0.7 * RUNS
    assert np.mean(coverages) > 0.5 * min(1.0, 2 * RISK / worst)


def test_a_sequence_that_looked_at_the_rows_it_tests_would_break_it() -> None:
    """Why a fifth of the rows is spent: the threshold that looks best on the rows themselves is too lenient."""
    rng, broken = np.random.default_rng(0), 0
    for _ in range(RUNS):
        sure, wrong = rows(300, rng, 0.4)
        order = np.argsort(-sure)
        risks = np.cumsum(wrong[order]) / np.arange(1, 301)
        best = np.flatnonzero(risks <= RISK)
        broken += len(best) > 0 and true_risk(float(sure[order[best[-1]]]), 0.4) > RISK
    assert broken > binom.ppf(0.999, RUNS, DELTA)


def test_thresholds_known_before_spare_the_pilot_and_stop_at_the_first_that_is_not_shown() -> None:
    sure = np.linspace(0.001, 1, 1000)
    wrong = (sure > 0.47) & (sure <= 0.5)
    # At 0.47 the risk is not shown; at 0 it would be again, but nobody may go on from there.
    found = certify(sure, wrong, RISK, DELTA, Random(0), thresholds=[0.9, 0.5, 0.47, 0.0])
    assert (found.threshold, found.rows, found.answered, found.errors, found.tried) == (0.5, 1000, 500, 0, 2)


def test_a_model_without_errors_answers_everything() -> None:
    found = certify(np.random.default_rng(0).random(500), np.zeros(500), 0.02, 0.05, Random(0))
    assert found.threshold == EVERYTHING
    assert (found.answered, found.errors) == (400, 0)
    assert found.coverage.value == 1.0
    assert found.error_rate.high == 0.02


def test_equally_sure_rows_are_answered_together_or_not_at_all() -> None:
    rng = np.random.default_rng(0)
    sure = rng.choice([0.6, 0.8, 1.0], 3000)
    wrong = rng.random(3000) < np.where(sure == 0.6, 0.5, 0.01)
    assert certify(sure, wrong, RISK, DELTA, Random(0)).threshold == 0.6


def test_too_few_rows_are_refused_with_how_many_it_takes() -> None:
    assert rows_needed(0.05, 0.1) == 45
    assert binom.cdf(0, 45, 0.05) <= 0.1 < binom.cdf(0, 44, 0.05)
    with pytest.raises(BadData, match="needs at least 45 labelled rows, all answered right; got 44"):
        certify(np.arange(44.0), np.zeros(44), RISK, DELTA, Random(0))


def test_a_model_that_is_too_often_wrong_is_refused_with_what_was_seen() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(
        BadData, match=r"no threshold is shown to keep the risk at 0.05 .* errors in \d+ rows, which shows"
    ):
        certify(rng.random(1000), rng.random(1000) < 0.3, RISK, DELTA, Random(0))


@pytest.mark.parametrize(
    ("sure", "wrong", "told"),
    [
        ([0.5] * 99 + [np.nan], [0] * 100, "1 do not say"),
        ([0.5] * 100, [0] * 99 + [np.nan], "1 rows are neither"),
        ([0.5] * 100, [0.3] * 100, "100 rows are neither"),
        ([0.5] * 100, [0] * 99, r"got \(100,\) and \(99,\)"),
    ],
)
def test_rows_that_do_not_say_both_are_refused(sure: list[float], wrong: list[float], told: str) -> None:
    with pytest.raises(BadData, match=told):
        certify(sure, wrong, RISK, DELTA, Random(0))


@pytest.mark.parametrize(("risk", "delta"), [(0.0, 0.1), (1.0, 0.1), (0.1, 0.0), (0.1, 1.0)])
def test_a_guarantee_of_nothing_or_of_everything_is_none(risk: float, delta: float) -> None:
    with pytest.raises(BadData, match="must be above 0 and below 1"):
        certify(np.ones(100), np.zeros(100), risk, delta, Random(0))


def test_the_bound_of_one_threshold_is_that_of_clopper_and_pearson() -> None:
    sure = np.linspace(0.005, 1, 200)
    wrong = np.isin(np.arange(200), (5, 150, 170))
    found = bound_at(sure, wrong, 0.5, 0.05)
    assert (found.answered, found.errors) == (100, 2)
    assert found.risk == pytest.approx(beta.ppf(0.95, 3, 98))
    with pytest.raises(BadData, match=r"none of 200 rows is surer than 1.0"):
        bound_at(sure, wrong, 1.0, 0.05)


def test_it_goes_to_json_and_back() -> None:
    found = certify(np.random.default_rng(0).random(500), np.zeros(500), 0.02, 0.05, Random(0))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Certified) == found
