"""What can be said of a model's quality before labels arrive, from how sure it was and how right it used to be.

All of it assumes that sureness still means what it meant in the reference. Where the outcome itself changed its law
(concept drift) it is no better than assuming that nothing changed; `audit` is what tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from roadworthy.core.isotonic import Isotonic
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing, z_of
from roadworthy.core.window import Window
from roadworthy.observe.quality.answers import Answers, answers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Metric = Literal["accuracy", "auc", "log_loss", "rate"]
# Outcomes of one step in the reference count as this many more, so that a step of few is not taken for certain.
_DOUBT = 0.5


class Both(NamedTuple):
    """The labelled rows of the reference, and the answered rows of now."""

    reference: Answers
    current: Answers


def both(reference: Window, current: Window, output: str, cut: float, least_rows: int) -> Both | None:
    """What an estimator works on; None where that is not `least_rows` labelled rows of classes, and a row of now."""
    # Without a look at what is known of the current labels: an estimate must not depend on which came early.
    unlabelled = replace(current.take(slice(None)), labels=np.full(current.n, np.nan))
    old, new = answers_of(reference, output, cut), answers_of(unlabelled, output, cut)
    if old is None or new is None or "number" in (old.kind, new.kind) or old.kind != new.kind:
        return None
    old, new = old.take(old.known), new.take(new.answered)
    return Both(old, new) if len(old.labels) >= max(2, least_rows) and len(new.labels) else None


def carried(estimator: str, rows: Both, old_hint: Floats, new_hint: Floats, confidence: float) -> Measurement:
    """The accuracy of the reference, moved by as much as the mean of a hint moved since.

    A hint (one number a row: the confidence, or nothing at all) stands in for being right. What it gets wrong is taken
    to be the same then and now, which makes its mean over the one an estimate for the other; the interval is of the
    accuracy that these very rows turn out to have.
    """
    wrong = rows.reference.correct - old_hint
    value = float(wrong.mean() + new_hint.mean())
    n, m = len(old_hint), len(new_hint)
    # Half a row of either kind: a reference without a single error says nothing of how far an accuracy may fall.
    spread = (float(wrong.var()) * n + 0.5) / (n + 1)
    half = z_of(confidence) * math.sqrt(spread * (1 / n + 1 / m))
    return _estimate("accuracy", estimator, value, half, m, confidence, ceiling=1.0)


@dataclass(frozen=True)
class Calibrated:
    """Each row's chance that its event comes true, from the reference: of label 1, or (classes) of being right."""

    answers: Answers
    steps: Isotonic
    score: Floats
    chance: Floats

    @classmethod
    def of(cls, rows: Both) -> Calibrated:
        """Isotonic calibration on the reference, applied to the rows of now."""
        binary = rows.reference.kind == "binary"
        old_score = rows.reference.stated if binary else rows.reference.sure
        event = rows.reference.labels if binary else rows.reference.correct
        steps = Isotonic.fit(old_score, event)
        score = rows.current.stated if binary else rows.current.sure
        return cls(rows.current, steps, score, steps(score))

    @property
    def right(self) -> Floats:
        """Each row's chance of being right."""
        if self.answers.kind == "classes":
            return self.chance
        return np.where(self.answers.predicted == 1, self.chance, 1 - self.chance)

    def estimate(self, metric: Metric, confidence: float) -> Measurement:
        """A metric under these chances; the interval holds what labels drawn by them and a new reference would add."""
        measure = _METRICS[metric]
        if self.answers.kind == "classes" and metric != "accuracy":
            return nothing(metric, _UNITS.get(metric, "1"))
        value, slopes = measure(self)
        if math.isnan(value):
            return nothing(metric, _UNITS.get(metric, "1"))
        variance = float((slopes**2 * self.chance * (1 - self.chance)).sum()) + self._reference_variance(slopes)
        half, ceiling = z_of(confidence) * math.sqrt(variance), math.inf if metric == "log_loss" else 1.0
        n = len(self.chance)
        return _estimate(metric, "cbpe", value, half, n, confidence, ceiling, _UNITS.get(metric, "1"))

    def _reference_variance(self, slopes: Floats) -> float:
        """What the reference adds: each step's rate is that of its rows only."""
        pull = np.bincount(self.steps.step_of(self.score), slopes, minlength=len(self.steps.rate))
        rows = self.steps.rows
        rate = (self.steps.rate * rows + _DOUBT) / (rows + 2 * _DOUBT)
        return float((pull**2 * rate * (1 - rate) / rows).sum())


def _accuracy(rows: Calibrated) -> tuple[float, Floats]:
    right = rows.right
    turned = (rows.answers.kind == "binary") & (rows.answers.predicted == 0)
    return float(right.mean()), np.where(turned, -1.0, 1.0) / len(right)


def _rate(rows: Calibrated) -> tuple[float, Floats]:
    return float(rows.chance.mean()), np.full(len(rows.chance), 1 / len(rows.chance))


def _log_loss(rows: Calibrated) -> tuple[float, Floats]:
    p = np.clip(rows.answers.stated, 1e-6, 1 - 1e-6)
    yes, no = -np.log(p), -np.log1p(-p)
    return float((rows.chance * yes + (1 - rows.chance) * no).mean()), (yes - no) / len(p)


def _auc(rows: Calibrated) -> tuple[float, Floats]:
    """The expected area under the ROC curve: of all pairs, those that the score ranks as the chances would."""
    chance = rows.chance
    _, group = np.unique(rows.answers.stated, return_inverse=True)
    yes, no = np.bincount(group, chance), np.bincount(group, 1 - chance)
    # Of each row: the noes below it and the yeses above it, those of the same score by half, itself not at all.
    below = (np.cumsum(no) - no / 2)[group] - (1 - chance) / 2
    above = (yes.sum() - np.cumsum(yes) + yes / 2)[group] - chance / 2
    all_yes, all_no = float(chance.sum()), float((1 - chance).sum())
    if min(all_yes, all_no) < 1:
        return math.nan, chance
    area = float((chance * below).sum()) / (all_yes * all_no)
    return area, (below - above) / (all_yes * all_no) - area / all_yes + area / all_no


_METRICS: Mapping[Metric, Callable[[Calibrated], tuple[float, Floats]]] = {
    "accuracy": _accuracy,
    "auc": _auc,
    "log_loss": _log_loss,
    "rate": _rate,
}
_UNITS: Mapping[Metric, str] = {"log_loss": "nats"}


def _estimate(
    name: str,
    estimator: str,
    value: float,
    half: float,
    n: int,
    confidence: float,
    ceiling: float = 1.0,
    unit: str = "1",
) -> Measurement:
    value = min(max(value, 0.0), ceiling)
    conditions = {"estimator": estimator, "labels": 0} | ({} if confidence == 0.95 else {"confidence": confidence})
    return Measurement(name, value, n, max(0.0, value - half), min(ceiling, value + half), unit, conditions=conditions)
