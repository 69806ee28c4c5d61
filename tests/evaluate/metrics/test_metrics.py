"""All metrics of the catalog: thin doors to the estimators in core."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from roadworthy.core.errors import SpecError
from roadworthy.evaluate.base import metric

RNG = np.random.default_rng(0)
ANSWERS = RNG.random(500)
LABELS = (RNG.random(500) < ANSWERS).astype(float)


def test_the_catalog_lists_the_five_metrics() -> None:
    assert set(metric) >= {"accuracy", "auc", "base_rate", "ece", "log_loss"}


@pytest.mark.parametrize("name", list(metric))
def test_nothing_measured_is_said_so(name: str) -> None:
    found = metric.make(name)(np.empty(0), np.empty(0))
    assert (found.name, found.n) == (name, 0)
    assert math.isnan(found.value)


@pytest.mark.parametrize("name", list(metric))
def test_the_value_lies_in_its_interval_and_carries_its_slice(name: str) -> None:
    found = metric.make(name)(LABELS, ANSWERS, "origin=JFK")
    assert found.low <= found.value <= found.high
    assert (found.where, found.n) == ("origin=JFK", 500)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auc", roc_auc_score(LABELS, ANSWERS)),
        ("log_loss", log_loss(LABELS, ANSWERS)),
        ("accuracy", accuracy_score(LABELS, ANSWERS >= 0.5)),
        ("base_rate", LABELS.mean()),
    ],
)
def test_it_agrees_with_scikit_learn(name: str, expected: float) -> None:
    assert metric.make(name)(LABELS, ANSWERS).value == pytest.approx(expected, rel=1e-9)


def test_ece_is_small_for_honest_probabilities_and_large_for_shifted_ones() -> None:
    ece = metric.make("ece")
    assert ece(LABELS, np.clip(ANSWERS + 0.3, 0, 1)).low > ece(LABELS, ANSWERS).high


def test_settings_change_the_metric() -> None:
    assert metric.make("accuracy:threshold=0")(LABELS, ANSWERS).value == pytest.approx(LABELS.mean())
    wide, narrow = (metric.make({"auc": {"confidence": c}})(LABELS, ANSWERS) for c in (0.99, 0.8))
    assert wide.high - wide.low > narrow.high - narrow.low
    with pytest.raises(SpecError, match="`bins` must be at least 2"):
        metric.make("ece:bins=1")
