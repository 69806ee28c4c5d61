"""The audit joins labels of randomly drawn predictions with label-free estimates, and says when those mislead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from msgspec import Struct

from roadworthy.core.measure import Measurement, Requirement, Verdict, judge
from roadworthy.core.stats import nothing
from roadworthy.core.window import Window
from roadworthy.observe.quality.answers import Answers
from roadworthy.observe.quality.confidence_sequences import Bounds, drifting_bounds, sampled_bounds
from roadworthy.observe.quality.draws import Draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Metric = Literal["accuracy", "rate", "brier"]


class Audit(Struct, frozen=True):
    """Of `rows` predictions `drawn` were drawn by chance, and `labelled` of those are labelled by now.

    `estimates` join the audit labels with what calibrated confidence foretells for every row; `alone` are those labels
    without it. Their intervals hold at every look at these rows, so one may stop labelling when they are narrow enough.
    """

    rows: int
    drawn: int
    labelled: int
    estimates: tuple[Measurement, ...] = ()
    alone: tuple[Measurement, ...] = ()

    def of(self, metric: str) -> Measurement:
        """The combined estimate of a metric, of n=0 where there is none."""
        return next((m for m in self.estimates if m.name == metric), nothing(metric))


@dataclass(frozen=True)
class Drawn:
    """The rows of a window that were drawn: `place` and `chance` (n,), the latter NaN where a row was not drawn."""

    place: Floats
    chance: Floats

    @classmethod
    def of(cls, window: Window, chances: Mapping[str, float], draw: Draw) -> Drawn:
        """From what is kept of the draws (`draws.chances`); the salt must be the one that they were drawn with."""
        if window.ids is None:
            unknown = np.full(window.n, np.nan)
            return cls(unknown, unknown)
        ids = window.ids.tolist()
        chance = np.array([chances.get(id, np.nan) for id in ids], np.float64)
        place = np.array([draw.place(id) if id in chances else np.nan for id in ids], np.float64)
        return cls(place, chance)

    def take(self, rows: NDArray[np.bool_]) -> Drawn:
        """Those of the given rows."""
        return Drawn(self.place[rows], self.chance[rows])

    @property
    def alike(self) -> bool:
        """Were all drawn with one chance and one salt? Then the order of the places is a random one of all rows."""
        drawn = ~np.isnan(self.chance)
        one = np.unique(self.chance[drawn])
        return len(one) == 1 and bool((self.place[drawn] < one[0]).all())


class Foretold(NamedTuple):
    """What confidence foretells (n,): each row's chance of being right, and of label 1 (None but for two classes)."""

    right: Floats
    one: Floats | None = None

    def take(self, rows: NDArray[np.bool_]) -> Foretold:
        """That of the given rows."""
        return Foretold(self.right[rows], None if self.one is None else self.one[rows])


def audit(answers: Answers, drawn: Drawn, foretold: Foretold, confidence: float = 0.95) -> Audit:
    """The combined estimates over the answered rows of a window.

    Drawn with one chance, the labels are a random sample of the rows without replacement, in the order of their
    places, and the interval is that of `sampled_bounds`: nothing is assumed of the rows, which may drift. With
    unequal chances it is that of `drifting_bounds` on the labels weighted by 1/chance, in the order of time, which
    holds as strictly and is wider. Drawn rows that nobody has labelled yet are taken to be like the labelled ones.
    """
    rows = answers.answered
    answers, drawn, foretold = answers.take(rows), drawn.take(rows), foretold.take(rows)
    labelled = answers.known & ~np.isnan(drawn.chance)
    counts = int(rows.sum()), int((~np.isnan(drawn.chance)).sum()), int(labelled.sum())
    if not counts[2]:
        return Audit(*counts)
    bound = _sampled if drawn.alike else _weighted
    found, alone = [], []
    for metric, values, guesses in _metrics(answers, foretold):
        found.append(_measured(metric, bound(values, guesses, labelled, drawn, 1 - confidence), counts[2], confidence))
        none = np.zeros(len(guesses))
        alone.append(_measured(metric, bound(values, none, labelled, drawn, 1 - confidence), counts[2], confidence))
    return Audit(*counts, tuple(found), tuple(alone))


def trust(estimate: Measurement, checked: Audit, within: float = 0.05, least: int = 30) -> Verdict:
    """Can a label-free estimate be trusted? `fail` where the audit shows it to be more than `within` off.

    The intervals of both count. Since that of the audit holds at every look, so does the verdict, with the audit's
    error; several estimates that are held against one audit share it. `pass` needs proof too: until then it waits.
    """
    name, truth = str(estimate.conditions.get("estimator", "label-free")), checked.of(estimate.name)
    of = f"trust {name}"
    if not estimate.n:
        return Verdict("wait", "there is no label-free estimate to check", of)
    if truth.n < least:
        told = f"{truth.n} of at least {least} audit labels ({checked.drawn} rows were drawn)"
        return Verdict("wait", f"{told}: nothing says whether {estimate} can be trusted", of, (estimate, truth))
    apart = Measurement(
        "apart", estimate.value - truth.value, truth.n, estimate.low - truth.high, estimate.high - truth.low
    )
    judged = judge(apart, Requirement("apart", at_least=-within, at_most=within)).decision
    told = f"{name} says {_told(estimate)}, {truth.n} audit labels say {_told(truth)}"
    because = {
        "fail": f"{told}: the label-free estimate cannot be trusted (outcomes changed, not only inputs)",
        "pass": f"{told}: no more than {within:g} apart",
        "wait": f"{told}: not enough labels to show that they are within {within:g} of each other, or are not",
    }[judged]
    return Verdict(judged, because, of, (estimate, truth, apart))


def _metrics(answers: Answers, foretold: Foretold) -> list[tuple[Metric, Floats, Floats]]:
    """What each metric is the mean of, NaN where the label is unknown, and what is foretold of it."""
    found: list[tuple[Metric, Floats, Floats]] = []
    if answers.kind != "number":
        found.append(("accuracy", answers.correct, foretold.right))
    if answers.kind == "binary" and foretold.one is not None:
        p, one = answers.stated, foretold.one
        found.append(("rate", answers.labels, one))
        found.append(("brier", (answers.labels - p) ** 2, one * (1 - p) ** 2 + (1 - one) * p**2))
    return found


def _sampled(
    values: Floats, guesses: Floats, labelled: NDArray[np.bool_], drawn: Drawn, alpha: float
) -> tuple[float, float, float]:
    order = np.flatnonzero(labelled)
    order = order[np.argsort(drawn.place[order])]
    planned = int((~np.isnan(drawn.chance)).sum())
    return _last(sampled_bounds(values[order], len(values), alpha, guesses[order], guesses, planned))


def _weighted(
    values: Floats, guesses: Floats, labelled: NDArray[np.bool_], drawn: Drawn, alpha: float
) -> tuple[float, float, float]:
    chosen = ~np.isnan(drawn.chance)
    # Of the drawn rows only some are labelled yet: each of those stands for more.
    reached = labelled.sum() / chosen.sum()
    chance = np.where(chosen, drawn.chance, 1.0) * reached
    off = np.where(labelled, (np.where(labelled, values, 0.0) - guesses) / chance, 0.0)
    expected = 0.2 * len(values) / float(np.median(chance[chosen]))
    value, low, high = _last(drifting_bounds(off, alpha, 1 / float(chance[chosen].min()), expected))
    average = float(guesses.mean())
    clipped = np.clip((average + value, average + low, average + high), 0.0, 1.0)
    return float(clipped[0]), float(clipped[1]), float(clipped[2])


def _last(bounds: Bounds) -> tuple[float, float, float]:
    return float(bounds.value[-1]), float(bounds.low[-1]), float(bounds.high[-1])


def _measured(metric: Metric, bounds: tuple[float, float, float], n: int, confidence: float) -> Measurement:
    conditions = {"valid": "at every look"} | ({} if confidence == 0.95 else {"confidence": confidence})
    return Measurement(metric, bounds[0], n, bounds[1], bounds[2], conditions=conditions)


def _told(m: Measurement) -> str:
    return f"{m.name} {m.value:.3f} [{m.low:.3f}, {m.high:.3f}]"
