"""What calibrating is worth, on rows that were not fitted on: errors, Brier's parts and diagrams, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from roadworthy.core.calibration import (
    Bin,
    Brier,
    brier,
    classwise_error,
    debiased_error,
    reliability_bins,
    squared_error,
    top_label_error,
)
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean
from roadworthy.serve.calibration.applied import Scores
from roadworthy.serve.calibration.choosing import FOLDS, ROWS_A_FOLD, Choice, choose, folds_of
from roadworthy.serve.calibration.methods import NOTHING, Task, apply, checked
from roadworthy.serve.calibration.paired import gain, row_log_losses, row_squares

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


class Calibration(Struct, frozen=True):
    """How well calibrated some probabilities are: the errors, the Brier score's parts, the diagram's points."""

    errors: tuple[Measurement, ...]
    log_loss: Measurement
    brier: Brier
    diagram: tuple[Bin, ...]

    def of(self, name: str) -> Measurement:
        """The error of this name."""
        return next(one for one in self.errors if one.name == name)


class CalibrationReport(Struct, frozen=True):
    """`before` and `after` are of the same `n` rows; what was fitted for a row's `after` had not seen its fold.

    The choice among methods was made anew for each fold, too: `by_fold` says what was taken there. `choice` is made on
    all rows; its plan is what to release.
    """

    task: Task
    n: int
    before: Calibration
    after: Calibration
    gains: tuple[Measurement, ...]
    by_fold: tuple[str, ...]
    choice: Choice


def report(
    labels: ArrayLike,
    outputs: ArrayLike,
    task: Task = "binary",
    methods: Sequence[str] = (),
    output: str = "",
    of: Scores = "probabilities",
    folds: int = FOLDS,
    rng: np.random.Generator | None = None,
) -> CalibrationReport:
    """Choose, fit and measure, never on the rows fitted on or chosen by. Rows stand in the order of time, if any.

    `labels` (n,) and the model's `outputs` (n,) or (n, k) on rows that the model was not trained on. Raises BadData for
    rows that no method can learn from.
    """
    y, s = checked(labels, outputs, task, of, ROWS_A_FOLD * folds * 2)
    honest: Floats = np.empty(s.shape, np.float64)
    by_fold = []
    for part in folds_of(len(y), folds, rng):
        rest = np.ones(len(y), np.bool_)
        rest[part] = False
        taken = choose(y[rest], s[rest], task, methods, output, of, folds, rng=rng)
        honest[part] = apply(taken.leaf(), s[part], of)
        by_fold.append(taken.taken)
    stated = apply(None, s, of)
    gains = (
        gain("log_loss_gain", row_log_losses(y, stated), row_log_losses(y, honest), "nats", in_time=rng is None),
        gain("brier_gain", row_squares(y, stated), row_squares(y, honest), in_time=rng is None),
    )
    chosen = choose(y, s, task, methods, output, of, folds, rng=rng)
    return CalibrationReport(task, len(y), measured(y, stated), measured(y, honest), gains, tuple(by_fold), chosen)


def measured(labels: NDArray[Any], probabilities: Floats) -> Calibration:
    """How well calibrated probabilities (n,) or (n, k) are; the diagram of several classes is of the likeliest."""
    y, p = labels, probabilities
    losses = mean("log_loss", row_log_losses(y, p), unit="nats")
    if p.ndim == 1:
        return Calibration((debiased_error(y, p), squared_error(y, p)), losses, brier(y, p), reliability_bins(p, y))
    errors = top_label_error(y, p), classwise_error(y, p)
    return Calibration(errors, losses, brier(y, p), reliability_bins(p.max(axis=1), p.argmax(axis=1) == y))


def changes(report: CalibrationReport) -> bool:
    """Whether there is anything to release: a method was shown to be better than what is there."""
    return report.choice.taken != NOTHING
