from __future__ import annotations

import numpy as np
import pytest

from roadworthy.evaluate.metrics.accuracy import Accuracy
from roadworthy.evaluate.metrics.auc import Auc
from roadworthy.evaluate.metrics.log_loss import LogLoss
from roadworthy.evaluate.paired import change, flips

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


@pytest.mark.parametrize("metric", [Auc(), LogLoss(), Accuracy()], ids=["auc", "log_loss", "accuracy"])
def test_unspoilt_rows_did_not_change(metric: Auc | LogLoss | Accuracy) -> None:
    labels, before, _ = rows()
    found = change(metric, labels, before, before, np.random.default_rng(0))
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


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
