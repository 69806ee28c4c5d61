"""Certainty is whether a model knows when it does not know: stated probabilities against what came true, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.calibration import (
    Bin,
    Brier,
    brier,
    classwise_error,
    debiased_error,
    reliability_bins,
    top_label_error,
)
from roadworthy.core.measure import Measurement
from roadworthy.core.risk_coverage import RiskCoverage, accuracies_answered, risk_coverage
from roadworthy.core.spec import Application, Task
from roadworthy.evaluate.answers import WITHHELD, Answers
from roadworthy.evaluate.certainty.abstained import Abstained, abstained
from roadworthy.evaluate.certainty.held import Held, held
from roadworthy.evaluate.scoring import are_probabilities, known

Array = NDArray[Any]
Floats = NDArray[np.float64]
Right = Callable[[Array, Array], NDArray[np.bool_]]
Where = Literal["lab", "production"]

# A class needs rows of its own; of a thousand classes the mean error tells nobody anything, and takes seconds.
MOST_CLASSES = 100
_SURENESS = (
    *("debiased_ece", "top_label_ece", "classwise_ece", "brier", "aurc", "excess_aurc", "error_auroc"),
    *("accuracy_answered", "accuracy_flagged"),
)
# What a requirement may be about, beside the metrics of the task.
FIGURES = (*_SURENESS, "coverage", "set_size", "interval_width", "flagged")


class Certainty(Struct, frozen=True):
    """What the labelled rows of one table say of it. `unsaid` tells why each part that is not there is not.

    `errors` are debiased calibration errors, `diagram` the reliability diagram (of several classes that of the
    likeliest), `curve` risk against coverage, `answered` the accuracy of the rest where the least sure rows are
    flagged. `held` is of prediction sets or intervals and `abstained` of rows left to others, where answers have any.
    """

    where: Where
    rows: int
    errors: tuple[Measurement, ...] = ()
    brier: Brier | None = None
    diagram: tuple[Bin, ...] = ()
    curve: RiskCoverage | None = None
    answered: tuple[Measurement, ...] = ()
    held: Held | None = None
    abstained: Abstained | None = None
    unsaid: tuple[str, ...] = ()

    @property
    def figures(self) -> tuple[Measurement, ...]:
        """Every number that may be required or compared; each name comes once for a place (`where`)."""
        return tuple(self._figures())

    def _figures(self) -> Iterator[Measurement]:
        yield from self.errors
        if self.brier is not None:
            yield replace(self.brier.score, name="brier")
        if self.curve is not None:
            yield from (self.curve.aurc, self.curve.excess, self.curve.error_auroc)
        yield from self.answered
        if self.held is not None:
            yield from (self.held.coverage, self.held.size, *self.held.by_class)
        if self.abstained is not None:
            parts = self.abstained
            yield from (parts.flagged, parts.accuracy_answered, parts.accuracy_flagged)


@dataclass(frozen=True)
class Judged:
    """The rows that have a label and an answer; `confidence` is what the answers say of themselves (NaN: nothing)."""

    task: Task
    labels: Array
    values: Array
    right: NDArray[np.bool_]
    confidence: Floats

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.labels)

    @property
    def classifies(self) -> bool:
        """Whether the answers are probabilities of classes."""
        return self.task in ("binary", "multiclass") and are_probabilities(self.values)

    @property
    def sure(self) -> Floats | None:
        """How sure the model is of each row: what it says, else the probability of what it decides.

        None where some rows have neither, and where answers are neither right nor wrong.
        """
        if self.task == "regression" or not self.n:
            return None
        if self.classifies:
            likeliest = self.values.max(axis=1) if self.values.ndim == 2 else np.maximum(self.values, 1 - self.values)
            return np.where(np.isnan(self.confidence), likeliest, self.confidence)
        return None if np.isnan(self.confidence).any() else self.confidence


def certainty(
    where: Where,
    application: Application,
    labels: Array,
    found: Answers,
    right: Right,
    target: float | None = None,
) -> Certainty:
    """What the answers `found` to the rows of one table say, `labels` being what came true and `right` who was.

    `target` is the coverage that sets or intervals promise; where it is not given, none is judged.
    """
    both = known(labels, found.values)
    rows = _judged(application.task, labels, found, both, right)
    kept = held(labels, found.told, application.classes, target) if application.task != "generation" else None
    calibration = _calibration(rows)
    return Certainty(
        where,
        rows.n,
        **calibration,
        **_risk(rows),
        held=kept,
        abstained=_left(labels, found, both, rows),
        unsaid=tuple(_unsaid(rows, calibration, found, kept)),
    )


def _judged(task: Task, labels: Array, found: Answers, both: NDArray[np.bool_], right: Right) -> Judged:
    labels, values = labels[both], found.values[both]
    told = found.told.confidence
    sure = np.full(len(labels), np.nan) if told is None else told[both]
    judges = task != "regression" and len(labels) > 0
    return Judged(task, labels, values, right(labels, values) if judges else np.zeros(len(labels), bool), sure)


def _calibration(rows: Judged) -> dict[str, Any]:
    """Errors, Brier's parts and the diagram, as far as there are probabilities and rows enough for them."""
    if _obstacle(rows):
        return {}
    errors, score, diagram = _of_probabilities(rows)
    known_score = score if score.score.n else None
    return {"errors": tuple(one for one in errors if one.n), "brier": known_score, "diagram": diagram}


def _of_probabilities(rows: Judged) -> tuple[tuple[Measurement, ...], Brier, tuple[Bin, ...]]:
    y, p = rows.labels, rows.values
    if rows.task == "binary":
        return (debiased_error(y, p),), brier(y, p), reliability_bins(p, y)
    if rows.task == "generation":
        event = rows.right.astype(np.float64)
        stated = rows.confidence
        return (debiased_error(event, stated),), brier(event, stated), reliability_bins(stated, event)
    each = [classwise_error(y, p)] if p.shape[1] <= MOST_CLASSES else []
    return (top_label_error(y, p), *each), brier(y, p), reliability_bins(p.max(axis=1), rows.right)


def _risk(rows: Judged) -> dict[str, Any]:
    """Risk against coverage; how sure a row is need not be a probability for it."""
    sure = rows.sure
    if sure is None:
        return {}
    wrong = (~rows.right).astype(np.float64)
    return {"curve": risk_coverage(sure, wrong), "answered": accuracies_answered(sure, wrong)}


def _obstacle(rows: Judged) -> str:
    """Why nothing can be said of calibration."""
    if not rows.n:
        return "no row has both a label and an answer"
    if rows.task == "regression":
        return "a predicted number is near or far, not right or wrong: it has no calibration error and no risk curve"
    if rows.task == "generation" and rows.sure is None:
        return "the answers do not say how sure they are: no confidence came with every one of them"
    stated = rows.confidence if rows.task == "generation" else rows.values
    if not are_probabilities(stated):
        return "what is stated are no probabilities: they leave [0, 1], or those of a row do not add up to 1"
    return ""


def _unsaid(rows: Judged, calibration: Mapping[str, Any], found: Answers, kept: Held | None) -> Iterator[str]:
    because = _obstacle(rows)
    if because:
        yield because
    elif not all(calibration.values()):
        yield f"{rows.n} labelled rows: a reliability diagram takes 20, a calibration error 30, Brier's parts 40"
    elif rows.task == "multiclass" and rows.values.shape[1] > MOST_CLASSES:
        yield f"the error of each class: there are {rows.values.shape[1]} classes, and at most {MOST_CLASSES} are asked"
    if found.told.sets is None and found.told.intervals is None:
        yield "prediction sets and intervals: the answers carry none (wrappers such as lac and absolute make them)"
    elif kept is None:
        yield "prediction sets and intervals: no row that has one has a label"


def _left(labels: Array, found: Answers, both: NDArray[np.bool_], rows: Judged) -> Abstained | None:
    flagged = found.told.flagged
    if flagged is None:
        return None
    judges = both if rows.task != "regression" else np.zeros(len(both), bool)
    right = np.zeros(len(labels), bool)
    right[both] = rows.right
    failed = np.zeros(len(labels), bool)
    failed[[row for row, why in found.failed.items() if why != WITHHELD]] = True
    return abstained(flagged, right, judges, failed)
