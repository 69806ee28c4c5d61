"""The same rows twice: what flipped, how sure the change is, and what so many rows could show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import binom, binomtest, norm

from roadworthy.evaluate.metrics.accuracy import Accuracy
from roadworthy.evaluate.metrics.auc import Auc
from roadworthy.evaluate.metrics.exact_match import ExactMatch
from roadworthy.evaluate.metrics.log_loss import LogLoss
from roadworthy.evaluate.metrics.macro_f1 import MacroF1
from roadworthy.evaluate.metrics.mae import Mae
from roadworthy.evaluate.metrics.r2 import R2
from roadworthy.evaluate.metrics.token_f1 import TokenF1
from roadworthy.evaluate.metrics.top_k import TopK
from roadworthy.evaluate.paired import change, detectable_share, flips, rows_needed, share_bounds
from roadworthy.testing.metrics import scene

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def rows(n: int = 2000, spoil: float = 1.0, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    before = rng.random(n)
    labels = (rng.random(n) < before).astype(float)
    after = np.where(rng.random(n) < spoil, np.clip(before + rng.normal(0, 0.3, n), 0.01, 0.99), before)
    return labels, before, after


def test_broken_and_fixed_are_counted() -> None:
    labels = np.array([1, 1, 0, 0, 1.0])
    found = flips(labels, np.array([0.9, 0.9, 0.1, 0.9, 0.9]), np.array([0.1, 0.9, 0.9, 0.1, 0.8]))
    assert (found.broken, found.fixed) == (2, 1)
    assert found.p == 1.0


def test_mcnemar_sees_that_more_broke_than_was_fixed() -> None:
    assert flips(*rows()).p < 0.001
    labels, before, _ = rows()
    assert flips(labels, before, before).p == 1.0


@pytest.mark.parametrize("metric", [Auc(), LogLoss(), Accuracy()], ids=["auc", "log_loss", "accuracy"])
def test_the_change_is_the_difference_of_the_two_metrics(metric: Auc | LogLoss | Accuracy) -> None:
    labels, before, after = rows()
    found = change(metric, labels, before, after, np.random.default_rng(0))
    assert found.value == pytest.approx(metric(labels, after).value - metric(labels, before).value)
    assert found.low < found.value < found.high
    assert found.name == f"{metric(labels, after).name}_change"
    assert found.unit == metric(labels, after).unit


@pytest.mark.parametrize("metric", [Auc(), LogLoss()], ids=["auc", "log_loss"])
def test_unspoilt_rows_did_not_change(metric: Auc | LogLoss) -> None:
    labels, before, _ = rows()
    found = change(metric, labels, before, before, np.random.default_rng(0))
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    assert "detectable" not in found.conditions


def test_rows_of_which_none_flips_bound_the_change_by_their_number() -> None:
    labels, before, _ = rows(400)
    found = change(Accuracy(), labels, before, before, np.random.default_rng(0))
    z2 = norm.ppf(0.975) ** 2
    assert found.value == 0
    assert (found.low, found.high) == pytest.approx((-z2 / (400 + z2), z2 / (400 + z2)))
    assert found.conditions["detectable"] == pytest.approx(7.85 / 400, rel=0.02)


def test_pairs_are_surer_than_two_samples_would_be() -> None:
    labels, before, after = rows(spoil=0.1)
    found = change(Auc(), labels, before, after, np.random.default_rng(0))
    alone = Auc()(labels, after)
    assert found.high - found.low < 0.5 * (alone.high - alone.low)


def test_the_auc_interval_holds_its_level() -> None:
    """Over many samples of one law the interval must hold the true change in about 95 % of the cases."""
    found = [change(Auc(), *rows(400, seed=seed), np.random.default_rng(0)) for seed in range(200)]
    truth = float(np.mean([m.value for m in found]))
    assert 0.90 <= np.mean([m.low <= truth <= m.high for m in found]) <= 0.99


def test_more_rows_detect_a_smaller_change() -> None:
    few, many = (change(Auc(), *rows(n), np.random.default_rng(0)).conditions["detectable"] for n in (300, 3000))
    assert 0 < many < few / 2


def test_one_class_alone_has_no_change_to_measure() -> None:
    _, before, after = rows(50)
    assert change(Auc(), np.ones(50), before, after, np.random.default_rng(0)).n == 0


def spoilt(task: Any, seed: int = 0, n: int = 240) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, fair answers, and the same answers with a tenth of the rows handed to their neighbours."""
    seen, rng = scene(task, n, seed), np.random.default_rng(seed + 99)
    order = np.where(rng.random(n) < 0.1, (np.arange(n) + 1) % n, np.arange(n))
    return seen.labels, seen.answers, seen.answers[order]


@pytest.mark.parametrize(
    ("metric", "task"),
    [
        (Accuracy(), "multiclass"),
        (TopK(3), "multiclass"),
        (MacroF1(), "multiclass"),
        (LogLoss(), "multiclass"),
        (Mae(), "regression"),
        (R2(), "regression"),
        (ExactMatch(), "generation"),
        (TokenF1(), "generation"),
    ],
    ids=lambda given: getattr(given, "catalog_name", given),
)
def test_every_task_has_a_change_of_its_metrics(metric: Any, task: Any) -> None:
    labels, before, after = spoilt(task)
    found = change(metric, labels, before, after, np.random.default_rng(0))
    assert found.value == pytest.approx(metric(labels, after).value - metric(labels, before).value)
    assert found.low < found.value < found.high
    assert found.conditions["detectable"] > 0
    alone = metric(labels, after)
    assert found.high - found.low < alone.high - alone.low


def test_classes_and_texts_flip_and_numbers_do_not() -> None:
    for task, metric in (("multiclass", Accuracy()), ("generation", ExactMatch())):
        labels, before, after = spoilt(task)
        was, now = metric.rows(labels, before), metric.rows(labels, after)
        found = flips(labels, before, after, task=task)
        assert (found.broken, found.fixed) == ((was & ~now).sum(), (~was & now).sum())
        assert found == flips(labels, before, after, task=task, metric=metric)
        assert found.p == pytest.approx(binomtest(found.broken, found.broken + found.fixed).pvalue)
    assert flips(*spoilt("regression"), task="regression").p == 1.0


def test_what_is_right_is_what_the_metric_says() -> None:
    labels, before, after = (
        np.array(["42", "42"], object),
        np.array(["42", "42"], object),
        np.array(["42.", "7"], object),
    )
    assert flips(labels, before, after, task="generation").broken == 2
    lenient = ExactMatch(ignore_punctuation=True)
    assert flips(labels, before, after, task="generation", metric=lenient).broken == 1


@pytest.mark.parametrize(("broken", "fixed", "n"), [(0.03, 0.01, 782), (0.02, 0.01, 2350), (0.06, 0.01, 218)])
def test_the_rows_needed_are_those_of_the_table(broken: float, fixed: float, n: int) -> None:
    """The table was made with quantiles of two decimals, hence 0.2 %."""
    assert rows_needed(broken, fixed) == pytest.approx(n, rel=2e-3)
    assert detectable_share(broken + fixed, n) == pytest.approx(broken - fixed, rel=2e-3)


def test_so_many_rows_have_the_power_that_is_said() -> None:
    """By counting all outcomes: the exact test is a little weaker than the normal theory behind the number."""
    n, moved, up = rows_needed(0.06, 0.01), 0.07, 0.06 / 0.07
    power = 0.0
    for flipped in range(61):
        few = np.arange(flipped + 1)
        seen = np.minimum(1.0, 2 * binom.cdf(np.minimum(few, flipped - few), flipped, 0.5)) <= 0.05
        power += binom.pmf(flipped, n, moved) * float(binom.pmf(few, flipped, up)[seen].sum())
    assert 0.70 <= power <= 0.83


def test_shares_that_do_not_differ_need_no_number() -> None:
    with pytest.raises(ValueError, match="must be different shares"):
        rows_needed(0.02, 0.02)


@pytest.mark.parametrize(("more", "less", "n"), [(1, 3, 44), (0, 6, 60), (20, 9, 200), (0, 0, 30)])
def test_at_its_bounds_the_score_of_a_share_is_the_normal_quantile(more: int, less: int, n: int) -> None:
    """The other share at its likeliest is looked for here, and not computed as in Tango's formula."""
    for bound, z in zip(share_bounds(more, less, n), norm.ppf([0.975, 0.025]), strict=True):

        def unlikely(share: float, change: float = bound) -> float:
            shares = np.array([share + change, share, 1 - 2 * share - change])
            return -float(xlogy([more, less, n - more - less], np.maximum(shares, 1e-300)).sum())

        least, most = max(0.0, -bound), (1 - bound) / 2
        other = minimize_scalar(unlikely, bounds=(least, most), method="bounded", options={"xatol": 1e-12}).x
        spread = np.sqrt((2 * other + bound * (1 - bound)) / n)
        assert ((more - less) / n - bound) / spread == pytest.approx(z, rel=1e-3)


def test_the_interval_of_a_share_holds_its_level() -> None:
    rng, truth = np.random.default_rng(3), 0.06 - 0.02
    counts = rng.multinomial(150, [0.06, 0.02, 0.92], 400)
    held = [low <= truth <= high for low, high in (share_bounds(int(a), int(b), 150) for a, b, _ in counts)]
    assert 0.92 <= np.mean(held) <= 0.99


def test_probabilities_that_are_none_have_no_change() -> None:
    labels = np.array([0.0, 1.0, 1.0])
    assert change(LogLoss(), labels, labels * 0.5, labels * 7, np.random.default_rng(0)).n == 0
