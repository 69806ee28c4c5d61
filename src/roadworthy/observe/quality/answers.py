"""Answers: what a model's output says, row by row, as predictions that turn out right or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import auc, calibration_error, log_loss, log_losses, mean, proportion
from roadworthy.core.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Kind = Literal["binary", "classes", "number"]


@dataclass(frozen=True)
class Answers:
    """`stated` is P(label 1) (n,), one probability a class (n, k), or a number (n,), as `kind` says.

    `sure` (n,) is the probability that was stated for the predicted class (NaN for numbers), `labels` (n,) are NaN
    where unknown. A row without an answer is NaN throughout.
    """

    kind: Kind
    stated: Floats
    predicted: Floats
    sure: Floats
    labels: Floats

    @property
    def answered(self) -> NDArray[np.bool_]:
        """The rows that have an answer (n,)."""
        return ~np.isnan(self.predicted)

    @property
    def known(self) -> NDArray[np.bool_]:
        """The answered rows whose label is known (n,)."""
        return self.answered & ~np.isnan(self.labels)

    @property
    def correct(self) -> Floats:
        """1 where the prediction is the label, 0 where not, NaN where nobody knows; NaN for numbers."""
        if self.kind == "number":
            return np.full(len(self.labels), np.nan)
        return np.where(self.known, self.predicted == self.labels, np.nan)

    @property
    def loss(self) -> Floats:
        """What the slice finder looks at: 1 for a wrong class, the absolute error of a number; NaN where unknown."""
        return np.abs(self.stated - self.labels) if self.kind == "number" else 1 - self.correct

    def take(self, rows: NDArray[Any]) -> Answers:
        """The answers of the given rows only."""
        parts = (self.stated[rows], self.predicted[rows], self.sure[rows], self.labels[rows])
        return Answers(self.kind, *parts)

    def metrics(self, where: str = "", rows: NDArray[np.bool_] | None = None) -> tuple[Measurement, ...]:
        """What the known labels say of the answers: how right, how well ranked, how well calibrated."""
        known = self.take(self.known if rows is None else self.known & rows)
        labels, stated, n = known.labels, known.stated, len(known.labels)
        if self.kind == "number":
            return (mean("absolute_error", known.loss, where), mean("bias", stated - labels, where))
        right = proportion("accuracy", int((known.predicted == labels).sum()), n, where)
        if self.kind == "classes":
            return (right, mean("log_loss", _class_losses(known), where, "nats"), _sureness_error(known, where))
        rate = proportion("rate", int(labels.sum()), n, where)
        ranked, calibrated = auc(labels, stated, where), calibration_error(labels, stated, where)
        squared = mean("brier", (labels - stated) ** 2, where)
        return (right, ranked, log_loss(labels, stated, where), calibrated, squared, rate)


def answers_of(window: Window, output: str, cut: float = 0.5) -> Answers | None:
    """The answers under the name `output` ("": the only output); None where there is none, or it is text.

    A vector holds one probability a class, and predicts the greatest. Numbers from 0 to 1 with labels of 0 and 1 (or
    none yet) are probabilities of label 1, which is predicted from `cut` on.
    """
    name = output or (next(iter(window.outputs)) if len(window.outputs) == 1 else "")
    stated = window.outputs.get(name)
    if stated is None or stated.dtype == object:
        return None
    if stated.ndim == 2 and stated.shape[1] > 1:
        missing = np.isnan(stated).any(axis=1)
        best = np.where(missing[:, None], 0.0, stated).argmax(axis=1)
        sure = np.where(missing, np.nan, stated[np.arange(len(stated)), best])
        return Answers("classes", stated, np.where(missing, np.nan, best), sure, window.labels)
    stated = np.asarray(stated, np.float64).reshape(len(stated))
    given, known = stated[~np.isnan(stated)], window.labels[~np.isnan(window.labels)]
    if not (bool(((given >= 0) & (given <= 1)).all()) and bool(np.isin(known, (0.0, 1.0)).all())):
        return Answers("number", stated, stated, np.full(len(stated), np.nan), window.labels)
    predicted = np.where(np.isnan(stated), np.nan, stated >= cut)
    return Answers("binary", stated, predicted, np.where(stated >= cut, stated, 1 - stated), window.labels)


def _class_losses(known: Answers) -> Floats:
    """The log loss of each row; a label that is no class has the greatest."""
    labels, k = known.labels, known.stated.shape[1]
    real = (labels >= 0) & (labels < k) & (labels == np.round(labels))
    place = np.where(real, labels, 0).astype(np.int64)
    of_label = np.where(real, known.stated[np.arange(len(labels)), place], 0.0)
    return log_losses(np.ones(len(labels)), of_label)


def _sureness_error(known: Answers, where: str) -> Measurement:
    """The calibration error of the predicted class alone (Guo et al. 2017)."""
    return calibration_error(known.predicted == known.labels, known.sure, where)
