"""What a gap report says of certainty and of several models, made of drawn answers, for tests of whoever shows it."""

from __future__ import annotations

from random import Random

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Application
from roadworthy.core.stats import proportion
from roadworthy.core.wire import Step
from roadworthy.evaluate.answers import Answers
from roadworthy.evaluate.certainty.certainty import Certainty, Where, certainty
from roadworthy.evaluate.certainty.who_answered import WhoAnswered, who_answered
from roadworthy.evaluate.paired import rightness
from roadworthy.evaluate.reports.report import GapReport
from roadworthy.evaluate.told import Told

CLASSES = ("card lost", "refund", "top up")
MEMBERS = ("small", "large")


def with_certainty(report: GapReport, rows: int = 600, seed: int = 0) -> GapReport:
    """The report with both sections filled: sets, abstention, a cascade with prices and audits."""
    drawn = [_drawn("lab", rows, seed), _drawn("production", rows, seed + 1)]
    return replace(
        report,
        certainty=tuple(one for one, _ in drawn),
        answered_by=tuple(one for _, one in drawn if one is not None),
    )


def _drawn(where: Where, rows: int, seed: int) -> tuple[Certainty, WhoAnswered | None]:
    rng = np.random.default_rng(seed)
    stated = rng.dirichlet((0.6, 0.6, 0.6), rows)
    labels = np.array([rng.choice(3, p=0.85 * p + 0.05) for p in stated], np.float64)
    sure = stated.max(axis=1)
    told = Told(sure, _sets(stated), None, _ways(sure, Random(seed)), 1e-4 + (sure < 0.7) * 2e-3, sure < 0.4)
    found = Answers(stated, {}, told)
    right = rightness()
    asked = Application("intents", "multiclass", {}, classes=CLASSES)

    def measure(some: NDArray[np.bool_], place: str) -> tuple[Measurement, ...]:
        hits = right(labels[some], stated[some])
        return (proportion("accuracy", int(hits.sum()), len(hits), place),)

    by = who_answered(where, told, np.ones(rows, bool), measure, MEMBERS)
    return certainty(where, asked, labels, found, right, 0.9), by


def _sets(stated: NDArray[np.float64]) -> NDArray[np.object_]:
    found = np.empty(len(stated), object)
    for row, p in enumerate(stated):
        found[row] = tuple(name for name, q in zip(CLASSES, p, strict=True) if q >= 0.15)
    return found


def _ways(sure: NDArray[np.float64], rng: Random) -> NDArray[np.object_]:
    """A cascade's: what is not sure enough goes on, and a tenth of the rest is audited."""
    found = np.empty(len(sure), object)
    for row, value in enumerate(sure.tolist()):
        second = "the last level: kept" if value < 0.7 else ""
        if not second and rng.random() < 0.1:
            second = f"audit drawn at 0.1: {'agrees' if rng.random() < 0.95 else 'differs'}"
        beyond = (Step("large", second, 2e-3, 0.02),) if second else ()
        found[row] = (Step("small", f"confidence {value:.4g}", 1e-4, 0.001), *beyond)
    return found
