"""Whether a served cascade still keeps its promise, from rows that were answered cheaply and checked later.

Reads records only. Rows are checked at random, each with a chance that is known; rows that the last model answered
count as right, unless a label says otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.betting import shows_above
from roadworthy.core.charges import STANDS
from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement, Verdict, judge
from roadworthy.core.record import Record
from roadworthy.core.stats import nothing
from roadworthy.core.window import Window
from roadworthy.route.answering.audits import audits_in
from roadworthy.route.cascades.fits import CascadeFit, Target

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# The words of a stop at the last model that gave no answer there, or was asked as an audit.
_NO_ANSWER = re.compile(rf"^audit |{STANDS}")
BETS = (0.2, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Audited:
    """Rows whose right answer is known, in the order of time: the answer given and the right one.

    `weights` are the least chance that any row has to be checked, over the row's own.
    """

    answers: Floats
    labels: Floats
    weights: Floats

    @classmethod
    def of(cls, window: Window, answer: str, last: str, least_chance: float, chance: str = "audit_chance") -> Audited:
        """From records with labels: `answer` is the output with the answer (two answers: 0 or 1, or a probability).

        `last` is the stop on the path of rows that the last model answered (audits stop there, too: for those take
        `of_records`), `chance` the output or tag with each cheap row's chance to be labelled, which is never below
        `least_chance`. Without that column it is `least_chance` for all.
        """
        if answer not in window.outputs:
            raise BadData(f"no output {answer!r} in these records (there are {', '.join(sorted(window.outputs))})")
        given = np.asarray(window.outputs[answer], np.float64)
        given = np.where((given > 0) & (given < 1), given >= 0.5, given)
        by_last = np.asarray(window.steps.get(last, np.zeros(window.n, np.bool_)))
        labels = np.where(by_last & ~np.isfinite(window.labels), given, window.labels)
        known = np.isfinite(labels) & np.isfinite(given)
        chances = np.where(by_last, 1.0, _chances(window, chance, least_chance))
        if not 0 < least_chance <= 1 or chances[known].min(initial=1.0) < least_chance * (1 - 1e-9):
            raise BadData(f"`least_chance` must be at most every row's chance to be checked, got {least_chance!r}")
        rows = np.flatnonzero(known)
        rows = rows[np.argsort(window.at[rows], kind="stable")]
        return cls(given[rows], labels[rows], least_chance / chances[rows])

    @classmethod
    def of_records(cls, records: Iterable[Record], answer: str, last: str, least_chance: float) -> Audited:
        """From the audits that the cascade itself made (setting `audit`), in the order of the records.

        Rows that the last model answered count as right. Answers that stood because it was out are left out: nobody
        promised anything about them.
        """
        found: list[tuple[float, float, float]] = []
        for record in (record for record in records if record.error is None):
            audits = audits_in([record])
            sent = any(step.at == last and not _NO_ANSWER.search(step.because) for step in record.path)
            if not audits and not sent:
                continue
            chance, agrees = (audits[0].propensity, audits[0].agrees) if audits else (1.0, True)
            if not 0 < least_chance <= chance * (1 + 1e-9):
                raise BadData(f"`least_chance` must be at most every row's chance {chance:g}, got {least_chance!r}")
            side = _side(record.outputs.get(answer))
            found.append((side, side if agrees else 1 - side, least_chance / chance))
        columns = np.array(found, np.float64).reshape(-1, 3)
        return cls(columns[:, 0], columns[:, 1], columns[:, 2])


def _side(answer: object) -> float:
    """Yes or no; an answer of several classes counts as yes, as it is only asked whether the last model agrees."""
    return float(answer >= 0.5) if isinstance(answer, int | float) else 1.0


def _chances(window: Window, name: str, least: float) -> Floats:
    column = window.outputs.get(name, window.tags.get(name))
    if column is None:
        return np.full(window.n, least)
    return np.array([least if v is None or v == "" or v != v else float(v) for v in column], np.float64)


def counted(target: Target, answers: Floats, labels: Floats) -> Mapping[str, tuple[Flags, Flags]]:
    """For each metric promised: the rows that count, and whether they are right."""
    right = answers == labels
    if target.precision is not None:
        return {"precision": (answers > 0.5, right), "recall": (labels > 0.5, right)}
    return {name: (np.ones(len(right), np.bool_), right) for name in target.stated}


def verified(rows: Audited, target: Target) -> tuple[Verdict, ...]:
    """Pass, fail or wait for each metric promised, valid however often one looks (by betting); delta is shared out."""
    delta = target.delta / len(target.stated)
    found = []
    for required in target.requirements:
        mine, right = counted(target, rows.answers, rows.labels)[required.metric]
        measured = share_of(required.metric, right[mine], rows.weights[mine], delta)
        found.append(judge(measured, required))
    return tuple(found)


def share_of(name: str, right: Flags, weights: Floats, delta: float) -> Measurement:
    """The weighted share that is right; each bound ever misses it with probability `delta` / 2, by betting."""
    if not len(right):
        return nothing(name)
    value = float((weights * right).sum() / weights.sum())
    low = _bound(right.astype(np.float64), weights, delta / 2)
    high = 1 - _bound((~right).astype(np.float64), weights, delta / 2)
    # A bound of all times may leave the estimate of the day behind.
    conditions = {"confidence": round(1 - delta, 9), "looks": "any number"}
    return Measurement(name, value, len(right), min(low, value), max(high, value), conditions=conditions)


def _bound(right: Floats, weights: Floats, delta: float) -> float:
    bottom, top = 0.0, 1.0
    for _ in range(25):
        middle = (bottom + top) / 2
        shown = shows_above((right - middle) * weights, 0.0, -middle, 1 - middle, delta)
        bottom, top = (middle, top) if shown else (bottom, middle)
    return bottom


class Watch(Struct, frozen=True):
    """An alarm on one metric that is false with probability `alpha` at most, ever: an e-process with restarts.

    At each row a part of the stake begins anew, so that a change after a long good time is seen soon; the parts add up
    to 1 (Shin, Ramdas & Rinaldo 2024 for restarts; Waudby-Smith & Ramdas 2023 for the bets).
    """

    metric: str
    share: float
    alpha: float
    rows: int = 0
    purses: tuple[float, ...] = (0.0,) * len(BETS)
    alarm_at: int | None = None

    @property
    def evidence(self) -> float:
        """Bets won against "the promise holds", of a stake of 1."""
        return sum(self.purses) / len(BETS) + 1 / (self.rows + 1)

    def see(self, right: Flags, weights: Floats) -> Watch:
        """After more rows that count, in the order in which their labels became known; weights are at most 1."""
        rows, purses, alarm = self.rows, np.array(self.purses), self.alarm_at
        bets = np.minimum(BETS, 0.75 / (1 - self.share))
        for ok, weight in zip(right.tolist(), weights.tolist(), strict=True):
            rows += 1
            purses = (purses + 1 / (rows * (rows + 1))) * (1 - bets * weight * (float(ok) - self.share))
            purses = np.minimum(purses, 1e250)
            if alarm is None and purses.mean() + 1 / (rows + 1) >= 1 / self.alpha:
                alarm = rows
        return Watch(self.metric, self.share, self.alpha, rows, tuple(purses.tolist()), alarm)

    @property
    def because(self) -> str:
        """The state in words."""
        if self.alarm_at is None:
            return f"{self.metric} at least {self.share:g} is not refuted by {self.rows:,} checked rows"
        return f"{self.metric} fell below {self.share:g}: shown by the {self.alarm_at:,}th checked row"


def watches(target: Target, alpha: float = 0.01) -> tuple[Watch, ...]:
    """A watch for each metric promised; `alpha` is the chance that any of them is ever false."""
    return tuple(Watch(name, share, alpha / len(target.stated)) for name, share in target.stated.items())


def watched(found: tuple[Watch, ...], rows: Audited, target: Target) -> tuple[Watch, ...]:
    """The watches after newly known rows, each row shown once."""
    by_metric = counted(target, rows.answers, rows.labels)
    return tuple(
        watch.see(by_metric[watch.metric][1][mine], rows.weights[mine])
        for watch in found
        for mine in [by_metric[watch.metric][0]]
    )


def in_force(fit: CascadeFit, found: tuple[Watch, ...]) -> CascadeFit:
    """The fit as long as no watch alarms; afterwards every row is sent on, until a new fit begins with new watches."""
    alarms = [watch.because for watch in found if watch.alarm_at is not None]
    return fit.shut(f"{'; '.join(alarms)}; fit again") if alarms else fit


def checks_needed(share: float, drop: float, alpha: float) -> int:
    """About how many checked rows an alarm takes once the share has dropped by so much (Wald 1945)."""
    now = min(max(share - drop, 1e-9), 1 - 1e-9)
    growth = now * math.log(now / share) + (1 - now) * math.log((1 - now) / (1 - share))
    return math.ceil((math.log(1 / alpha) + math.log(len(BETS))) / growth)
