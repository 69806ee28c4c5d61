"""Chooses how to calibrate: by log loss on rows that were not fitted on, the simpler way until another is better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean, nothing
from roadworthy.serve.base import wrapper
from roadworthy.serve.calibration.applied import Scores
from roadworthy.serve.calibration.methods import NOTHING, Task, apply, checked, fit_by_name, named
from roadworthy.serve.calibration.paired import gain, row_log_losses, row_squares

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

FOLDS = 5
ROWS_A_FOLD = 4


class Tried(Struct, frozen=True):
    """One method: its cross-fitted losses, what it gains over `against`, and why it was taken or left."""

    name: str
    log_loss: Measurement
    brier: Measurement
    against: str
    gain: Measurement
    taken: bool
    because: str


class Choice(Struct, frozen=True):
    """The method taken, its plan fitted on all `n` rows (None: leave the outputs alone), and all that were tried.

    The chance that any method is taken which is no better than the simpler one is at most `alpha`, large n.
    """

    task: Task
    taken: str
    plan: Any
    n: int
    folds: int
    alpha: float
    tried: tuple[Tried, ...]

    def leaf(self) -> Any:
        """The wrapper that the plan makes; None where nothing was better."""
        return None if self.plan is None else wrapper.make(self.plan)


def choose(
    labels: ArrayLike,
    outputs: ArrayLike,
    task: Task = "binary",
    methods: Sequence[str] = (),
    output: str = "",
    of: Scores = "probabilities",
    folds: int = FOLDS,
    alpha: float = 0.05,
    rng: np.random.Generator | None = None,
) -> Choice:
    """The simplest method that no other is shown to beat, each fitted on other folds than it is measured on.

    Folds are stretches of the rows as they stand, which for rows in time order keeps a storm in one fold, and intervals
    allow for storms; `rng` deals rows that have no order in time to folds by chance instead. A method replaces the one
    before where the whole interval of its gain in log loss is above 0: the first at half of `alpha`, the others share
    the other half (Bonferroni). Raises BadData for rows that none can learn from.
    """
    y, s = checked(labels, outputs, task, of, ROWS_A_FOLD * folds)
    parts = folds_of(len(y), folds, rng)
    names = named(methods, task, of)
    best, best_losses = NOTHING, row_log_losses(y, apply(None, s, of))
    tried = [_row(NOTHING, y, apply(None, s, of), "", nothing("gain", "nats"), True, "what is already there")]
    for number, name in enumerate(names):
        share = alpha / 2 / (1 if not number else len(names) - 1)
        try:
            p = cross_fitted(name, y, s, parts, of)
        except BadData as wrong:
            none = nothing("gain", "nats")
            tried.append(Tried(name, nothing("log_loss", "nats"), nothing("brier"), best, none, False, str(wrong)))
            continue
        losses = row_log_losses(y, p)
        found = gain("gain", best_losses, losses, "nats", 1 - 2 * share, rng is None)
        better = found.low > 0
        tried.append(_row(name, y, p, best, found, better, _why(found, best)))
        if better:
            best, best_losses = name, losses
    plan = None if best == NOTHING else write_plan(fit_by_name(best, y, s, output, of))
    return Choice(task, best, plan, len(y), folds, alpha, tuple(tried))


def cross_fitted(
    name: str, labels: NDArray[Any], outputs: Floats, parts: Sequence[NDArray[np.int64]], of: Scores = "probabilities"
) -> Floats:
    """The probabilities of every row by the method fitted on the other parts. Raises BadData where one cannot be."""
    made: Floats = np.empty(outputs.shape, np.float64)
    for part in parts:
        rest = np.ones(len(labels), np.bool_)
        rest[part] = False
        made[part] = apply(fit_by_name(name, labels[rest], outputs[rest], "", of), outputs[part], of)
    return made


def folds_of(rows: int, folds: int, rng: np.random.Generator | None = None) -> list[NDArray[np.int64]]:
    """Row numbers of each fold: stretches of near equal count, or dealt by chance where there is an `rng`."""
    if folds < 2 or folds > rows:
        raise BadData(f"`folds` must be from 2 to the {rows} rows, got {folds!r}")
    order = np.arange(rows) if rng is None else rng.permutation(rows)
    return [np.sort(part) for part in np.array_split(order, folds)]


def _row(name: str, y: NDArray[Any], p: Floats, against: str, found: Measurement, taken: bool, because: str) -> Tried:
    losses, squares = mean("log_loss", row_log_losses(y, p), unit="nats"), mean("brier", row_squares(y, p))
    return Tried(name, losses, squares, against, found, taken, because)


def _why(found: Measurement, best: str) -> str:
    if found.low > 0:
        return f"better than {best}"
    return f"worse than {best}" if found.high < 0 else f"not shown to be better than {best}"
