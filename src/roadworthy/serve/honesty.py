"""Fits what makes a model honest about itself: probabilities, prediction sets, and when to leave a row to others.

Each is fitted on rows of its own, which none of the others has seen.
"""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.risk_coverage import RiskCoverage, risk_coverage
from roadworthy.core.spec import Application
from roadworthy.core.stats import mean
from roadworthy.serve.base import wrapper
from roadworthy.serve.calibration.methods import apply
from roadworthy.serve.calibration.report import CalibrationReport, changes, report
from roadworthy.serve.columns import SETS
from roadworthy.serve.conformal.fitting import fit, promised
from roadworthy.serve.conformal.intervals import HIGH, LOW
from roadworthy.serve.fold import Arrays
from roadworthy.serve.selective.threshold import Certified, certify
from roadworthy.serve.wrappers import abstain, adaptive, mondrian_class, mondrian_segment
from roadworthy.serve.wrappers.recalibrated import Recalibrated

Floats = NDArray[np.float64]


class Rows(NamedTuple):
    """Labelled answers in the order of time: `labels` (n,), `outputs` (n,) or (n, k), and maybe `groups` (n,)."""

    labels: Floats
    outputs: Floats
    groups: NDArray[np.object_] | None = None

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows."""
        return Rows(self.labels[rows], self.outputs[rows], None if self.groups is None else self.groups[rows])


class Wanted(Struct, frozen=True):
    """What to fit: `methods` of calibration ("" every one), sets that `cover` so much, a `risk` of what is answered.

    `each` asks for the coverage in each `class`, or for each value of a tag. What shall `follow` late labels does.
    """

    methods: tuple[str, ...] = ()
    cover: float = 0.0
    sets: str = ""
    each: str = ""
    risk: float = 0.0
    delta: float = 0.1
    follow: bool = False

    def __post_init__(self) -> None:
        if self.each and self.follow:
            raise ValueError("sets with a threshold for `each` do not follow late labels: choose one of the two")
        for name in ("cover", "risk"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` is a share between 0 and 1, got {getattr(self, name)!r}")
        if not 0 < self.delta < 1:
            raise ValueError(f"`delta` is a chance between 0 and 1, got {self.delta!r}")


class Sets(Struct, frozen=True):
    """Prediction sets or intervals: the plan, the coverage that it promises, and how large they are on its rows."""

    plan: Any
    rows: int
    promised: Measurement
    size: Measurement


class Answering(Struct, frozen=True):
    """When to leave a row to others: the plan and what certifies it, or why there is none; and the whole curve."""

    plan: Any
    certified: Certified | None
    refused: str
    curve: RiskCoverage


class Honest(Struct, frozen=True):
    """All that was fitted, on so many rows. `plans` are the wrappers to add, the outermost first."""

    rows: int
    calibration: CalibrationReport | None
    sets: Sets | None
    answering: Answering | None

    @property
    def plans(self) -> tuple[Any, ...]:
        """The wrappers to put around the release."""
        found = [None if part is None else part.plan for part in (self.answering, self.sets)]
        if self.calibration is not None and changes(self.calibration):
            found.append(self.calibration.choice.plan)
        return tuple(plan for plan in found if plan is not None)


def fit_all(asked: Application, rows: Rows, wanted: Wanted, rng: Random) -> Honest:
    """Fit what is wanted. Raises BadData where the rows cannot carry it."""
    parts = iter(_dealt(rows, asked, wanted, rng))
    calibration = None if asked.task == "regression" else _calibration(asked, next(parts), wanted)
    start = None if calibration is None else calibration.choice.leaf()
    sets = _sets(asked, next(parts), start, wanted) if wanted.cover else None
    answering = _answering(asked, next(parts), start, wanted, rng) if wanted.risk else None
    if calibration is not None and wanted.follow and changes(calibration):
        calibration = _following(calibration)
    return Honest(len(rows.labels), calibration, sets, answering)


def _dealt(rows: Rows, asked: Application, wanted: Wanted, rng: Random) -> list[Rows]:
    """The rows, dealt by chance to what is fitted one after the other; each part keeps the order of time."""
    parts = (asked.task != "regression") + bool(wanted.cover) + bool(wanted.risk)
    if asked.task == "generation" or not parts:
        raise SpecError(f"there is nothing to fit for the task {asked.task!r}: give `--cover`, or another project")
    order = np.array(rng.sample(range(len(rows.labels)), len(rows.labels)), np.int64)
    return [rows.take(np.sort(part)) for part in np.array_split(order, parts)]


def _calibration(asked: Application, rows: Rows, wanted: Wanted) -> CalibrationReport:
    task = "binary" if asked.task == "binary" else "multiclass"
    return report(rows.labels, rows.outputs, task, wanted.methods, asked.output)  # type: ignore[arg-type]


def _following(found: CalibrationReport) -> CalibrationReport:
    """The same calibration, which late labels turn from where it was fitted."""
    plan = write_plan(Recalibrated(found.choice.plan))
    return msgspec.structs.replace(found, choice=msgspec.structs.replace(found.choice, plan=plan))


def _honest(leaf: Any, outputs: NDArray[Any]) -> NDArray[Any]:
    """The outputs as the calibrated release will answer them."""
    return outputs if leaf is None else apply(leaf, outputs)


def _in_own_type(outputs: Floats) -> NDArray[Any]:
    """The outputs in the float type that the model answers in, which a calibration keeps.

    Steps (isotonic, histogram) give many rows the same probability. Were the threshold to come from one such number in
    64 bits, and the same number be answered in 32, rounding alone would decide whether those rows are held.
    """
    with np.errstate(over="ignore"):
        rounded = outputs.astype(np.float32)
    return rounded if np.array_equal(rounded, outputs) else outputs


def _sets(asked: Application, rows: Rows, leaf: Any, wanted: Wanted) -> Sets:
    name = wanted.sets or ("absolute" if asked.task == "regression" else "lac")
    bare = _bare(name, asked)
    arrays = {asked.output: _honest(leaf, _in_own_type(rows.outputs))}
    plain = fit(bare, rows.labels, arrays, wanted.cover)
    made = _fitted(bare, rows, arrays, wanted) if wanted.follow or wanted.each else plain
    shown = made if hasattr(made, "on_outputs") else plain
    return Sets(write_plan(made), len(rows.labels), promised(plain), _size(shown.on_outputs(arrays)))


def _bare(name: str, asked: Application) -> Any:
    """The leaf to fit. Raises SpecError for one that needs more than a threshold, or makes sets of another task."""
    try:
        bare: Any = wrapper.make(name, output=asked.output, classes=asked.classes)
    except SpecError as wrong:
        raise SpecError(f"`--sets` takes what makes sets of a threshold (lac, aps, raps, absolute): {wrong}") from wrong
    if not hasattr(bare, "true_scores"):
        raise SpecError(f"`--sets` takes what makes sets of a threshold (lac, aps, raps, absolute), got {name!r}")
    if hasattr(bare, "classes") == (asked.task == "regression"):
        made, take = ("sets of classes", "absolute") if hasattr(bare, "classes") else ("intervals of a number", "lac")
        raise SpecError(f"{name!r} makes {made}, and the task is {asked.task}: take {take}")
    return bare


def _fitted(bare: Any, rows: Rows, arrays: Arrays, wanted: Wanted) -> Any:
    if wanted.follow:
        return adaptive.fit(bare, rows.labels, arrays, wanted.cover)
    if wanted.each == "class":
        return mondrian_class.fit(bare, rows.labels, arrays, wanted.cover)
    groups = [] if rows.groups is None else rows.groups.tolist()
    return mondrian_segment.fit(bare, rows.labels, arrays, wanted.each, groups, wanted.cover)


def _size(held: Arrays) -> Measurement:
    if SETS in held:
        return mean("set_size", [len(one) for one in held[SETS]], unit="names")
    return mean("interval_width", np.asarray(held[HIGH], np.float64) - np.asarray(held[LOW], np.float64))


def _answering(asked: Application, rows: Rows, leaf: Any, wanted: Wanted, rng: Random) -> Answering:
    if asked.task == "regression":
        raise SpecError("`--risk` bounds the share of wrong answers, which a number has not: use `--cover`")
    p = _honest(leaf, rows.outputs)
    sure = np.maximum(p, 1 - p) if p.ndim == 1 else p.max(axis=1)
    said = (p >= 0.5) if p.ndim == 1 else p.argmax(axis=1)
    wrong = (said != rows.labels).astype(np.float64)
    curve = risk_coverage(sure, wrong)
    try:
        found = certify(sure, wrong, wanted.risk, wanted.delta, rng)
    except BadData as why:
        return Answering(None, None, str(why), curve)
    return Answering(write_plan(abstain.of_certified(found)), found, "", curve)
