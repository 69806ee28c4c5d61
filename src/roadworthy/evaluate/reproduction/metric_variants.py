"""Metric variants are the other numbers that people mean when they write one metric's name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.evaluate.reproduction.claim_values import family

Floats = NDArray[np.float64]
AVERAGES = ("macro", "weighted", "micro")


@dataclass(frozen=True)
class Scored:
    """Labelled answers: `labels` (n,) class numbers, `answers` (n,) probabilities of class 1, or (n, k).

    `lengths` (n, k) counts the characters of each choice, where the answers are log-likelihoods of choices.
    """

    labels: Floats
    answers: Floats
    lengths: Floats | None = None

    @property
    def binary(self) -> bool:
        return self.answers.ndim == 1

    def decided(self, threshold: float = 0.5) -> NDArray[np.int64]:
        """The class decided on (n,)."""
        return (self.answers >= threshold).astype(np.int64) if self.binary else self.answers.argmax(axis=1)

    def confusion(self, decided: NDArray[np.int64]) -> NDArray[np.int64]:
        """Counts (k, k) of label by decision."""
        k = 2 if self.binary else self.answers.shape[1]
        k = max(k, int(self.labels.max(initial=0)) + 1)
        pairs = self.labels.astype(np.int64) * k + decided
        return np.asarray(np.bincount(pairs, minlength=k * k).reshape(k, k))


Variants = Iterator[tuple[str, Measurement]]


def variants(metric: str, scored: Scored, rng: np.random.Generator) -> Variants:
    """Definition and number of each variant of a metric; none where no variant is known."""
    makers: Mapping[str, Callable[[Scored, np.random.Generator], Variants]] = {
        "accuracy": _accuracies,
        "f1": lambda found, draw: _averaged("f1", found, draw),
        "precision": lambda found, draw: _averaged("precision", found, draw),
        "recall": lambda found, draw: _averaged("recall", found, draw),
        "auc": _areas,
        "log_loss": _losses,
        "ece": _calibrations,
    }
    if family(metric) in makers and len(scored.labels):
        yield from makers[family(metric)](scored, rng)


def thresholds(metric: str, scored: Scored, rng: np.random.Generator) -> Variants:
    """The metric cut elsewhere than at 0.5: where it is best on these rows, and where the base rate is met."""
    if not scored.binary or metric not in ("accuracy", "f1", "precision", "recall") or not len(scored.labels):
        return
    rate = float((scored.labels >= 0.5).mean())
    cuts = {"that meets the base rate": float(np.quantile(scored.answers, 1 - rate))}
    if metric in ("accuracy", "f1"):
        cuts["that is best on these rows"] = _best(metric, scored)
    for name, cut in cuts.items():
        counts = scored.confusion(scored.decided(cut))
        yield f"{cut:.4g}, {name}", _resampled(metric, counts, _from_counts(metric, "binary"), rng)


def _accuracies(scored: Scored, rng: np.random.Generator) -> Variants:
    counts, n = scored.confusion(scored.decided()), len(scored.labels)
    yield "balanced", _resampled("accuracy", counts, _from_counts("recall", "macro"), rng)
    yield "error rate", stats.proportion("accuracy", int(n - counts.trace()), n)
    if scored.binary:
        return
    for best in (1, 3, 5, 10):
        if scored.answers.shape[1] > best:
            order = np.argpartition(-scored.answers, best, axis=1)[:, :best]
            yield f"top-{best}", _share(order == scored.labels[:, None])
    if scored.lengths is not None:
        # Log-likelihoods are never positive; of probabilities the logarithm is meant.
        said = scored.answers if scored.answers.max() <= 0 else np.log(np.maximum(scored.answers, 1e-300))
        decided = (said / np.maximum(scored.lengths, 1)).argmax(axis=1)
        yield "length-normalised", _share((decided == scored.labels)[:, None])


def _share(hits: NDArray[np.bool_]) -> Measurement:
    return stats.proportion("accuracy", int(hits.any(axis=1).sum()), len(hits))


def _averaged(metric: str, scored: Scored, rng: np.random.Generator) -> Variants:
    counts = scored.confusion(scored.decided())
    if scored.binary:
        yield "binary", _resampled(metric, counts, _from_counts(metric, "binary"), rng)
        yield "of the negative class", _resampled(metric, counts[::-1, ::-1], _from_counts(metric, "binary"), rng)
    for average in AVERAGES:
        yield average, _resampled(metric, counts, _from_counts(metric, average), rng)


def _areas(scored: Scored, rng: np.random.Generator) -> Variants:
    if not scored.binary:
        return
    area = stats.auc(scored.labels, scored.answers)
    if area.n:
        low, value, high = (2 * bound - 1 for bound in (area.low, area.value, area.high))
        yield "Gini, 2 AUC - 1", Measurement("auc", value, area.n, low, high)
        yield "of hard decisions", stats.auc(scored.labels, scored.decided().astype(np.float64))
        yield "under the precision-recall curve", _precision_area(scored, rng)


def _losses(scored: Scored, rng: np.random.Generator) -> Variants:
    if scored.binary:
        loss = stats.log_loss(scored.labels, scored.answers)
        low, value, high = (bound / math.log(2) for bound in (loss.low, loss.value, loss.high))
        yield "in bits", Measurement("log_loss", value, loss.n, low, high, loss.unit)


def _calibrations(scored: Scored, rng: np.random.Generator) -> Variants:
    """Guo et al. 2017 cut the unit interval into equal widths; others take bins of equal count."""
    if not scored.binary:
        return
    for bins in (10, 15, 20):
        part = np.minimum((scored.answers * bins).astype(np.int64), bins - 1)
        gaps = np.bincount(part, scored.labels - scored.answers, minlength=bins)
        value, known = float(np.abs(gaps).sum()) / len(part), stats.calibration_error(scored.labels, scored.answers)
        half = max(0.0, (known.high - known.low) / 2) if known.n else math.inf
        yield f"{bins} bins of equal width", Measurement("ece", value, len(part), max(0.0, value - half), value + half)
    for bins in (10, 20):
        yield f"{bins} bins of equal count", stats.calibration_error(scored.labels, scored.answers, bins=bins)


def _from_counts(metric: str, average: str) -> Callable[[NDArray[Any]], Floats]:
    """Precision, recall, F1 or accuracy of confusion counts (..., k, k), averaged as scikit-learn does."""

    def score(counts: NDArray[Any]) -> Floats:
        hit = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
        labelled, said = counts.sum(axis=-1), counts.sum(axis=-2)
        if metric == "accuracy" or average == "micro":
            return np.asarray(hit.sum(axis=-1) / counts.sum(axis=(-2, -1)))
        below = {"precision": said, "recall": labelled, "f1": (said + labelled) / 2}[metric]
        each = np.divide(hit, below, out=np.zeros_like(hit), where=below > 0)
        if average == "binary":
            return np.asarray(each[..., 1])
        seen = (labelled + said) > 0
        weights = labelled.astype(np.float64) if average == "weighted" else seen.astype(np.float64)
        return np.asarray((each * weights).sum(axis=-1) / np.maximum(weights.sum(axis=-1), 1e-12))

    return score


def _resampled(
    name: str, counts: NDArray[np.int64], score: Callable[[NDArray[Any]], Floats], rng: np.random.Generator
) -> Measurement:
    """A score of confusion counts with a bootstrap interval: rows drawn anew are counts drawn multinomially."""
    n, k = int(counts.sum()), counts.shape[0]
    draws = max(20, min(200, 4_000_000 // (k * k)))
    again = rng.multinomial(n, (counts / n).reshape(-1), size=draws).reshape(draws, k, k)
    value, half = float(score(counts)), stats.z_of(0.95) * float(score(again).std(ddof=1))
    return Measurement(name, value, n, max(0.0, value - half), min(1.0, value + half))


def _best(metric: str, scored: Scored) -> float:
    cuts = np.unique(np.quantile(scored.answers, np.linspace(0.005, 0.995, 199)))
    score = _from_counts(metric, "binary")
    return float(max(cuts, key=lambda cut: float(score(scored.confusion(scored.decided(cut))))))


def _precision_area(scored: Scored, rng: np.random.Generator, draws: int = 40) -> Measurement:
    """Average precision, the step-wise area, with a bootstrap interval."""
    value, n = _average_precision(scored.labels, scored.answers), len(scored.labels)
    again = [rng.integers(0, n, n) for _ in range(draws)]
    spread = np.std([_average_precision(scored.labels[rows], scored.answers[rows]) for rows in again], ddof=1)
    half = stats.z_of(0.95) * float(spread)
    return Measurement("auc", value, n, max(0.0, value - half), min(1.0, value + half))


def _average_precision(labels: Floats, answers: Floats) -> float:
    order = np.argsort(-answers, kind="stable")
    hits, ordered = np.cumsum(labels[order] >= 0.5), answers[order]
    # Tied answers enter the curve together, at the last of them.
    ends = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    recall = hits[ends] / max(1, hits[-1])
    return float((np.diff(recall, prepend=0.0) * hits[ends] / (ends + 1)).sum())
