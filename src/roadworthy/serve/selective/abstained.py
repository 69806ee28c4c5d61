"""What abstaining came to in a stretch of records: over all of it, week by week, and from the surest answers on.

It knows records and labels, and of the wrapper that abstained only what it promised.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Requirement, Verdict, judge
from roadworthy.core.record import Label
from roadworthy.core.stats import mean
from roadworthy.core.window import Window
from roadworthy.serve.selective.figures import (
    Figures,
    Reading,
    by_window,
    figures,
    flags,
    share_in_time,
    without_failed,
)

Floats = NDArray[np.float64]

WEEK = 7 * 86_400.0
DAY = 86_400.0
# The answers are cut into so many parts of one size, by doubt, where each then has as many labels as this.
PARTS, LEAST_PART = 5, 20
# Who labels from files gives as many sources as files: the commonest are shown.
MOST_SOURCES = 8


class Abstained(Struct, frozen=True):
    """`overall`, and for each of several `weeks` (`where` is the day on which it begins), what abstaining came to.

    `doubt` names what the model is unsure by. `by_doubt` is the share of wrong answers (the mean error of numbers) from
    the surest rows to the least sure. Of the flagged rows `withheld` gave no answer away; `sources` counts their labels
    by who gave them, the commonest first. `promise` holds a certified risk against what was answered under it. `notes`
    say what is not known, and what to do about it.
    """

    doubt: str
    overall: Figures
    weeks: tuple[Figures, ...] = ()
    by_doubt: tuple[Measurement, ...] = ()
    withheld: int = 0
    sources: Mapping[str, int] = field(default_factory=dict)
    promise: Verdict | None = None
    notes: tuple[str, ...] = ()


class Promise(Struct, frozen=True):
    """The `risk` that a threshold was certified for, and which rows of the window (n,) were answered under it."""

    risk: float
    rows: NDArray[np.bool_]


def abstained(
    window: Window, reading: Reading, labels: Sequence[Label] = (), promise: Promise | None = None
) -> Abstained:
    """What abstaining came to in a window (`Window.of_all`), whose rows a person labelled as `labels` say.

    Raises SpecError and BadData as `Reading` does.
    """
    asked, _ = without_failed(window)
    flagged = flags(asked)
    overall = figures(window, reading, labels)
    withheld = int((flagged & np.isnan(reading.said(asked))).sum()) if asked.n else 0
    sources = _sources(asked, flagged, labels)
    return Abstained(
        reading.doubt,
        overall,
        by_window(_weeks(window), reading, labels),
        _by_doubt(asked, reading),
        withheld,
        dict(sources.most_common(MOST_SOURCES)),
        _kept(window, reading, promise),
        tuple(_notes(overall, reading, int(flagged.sum()), withheld, promise is not None)),
    )


def _weeks(window: Window) -> dict[str, Window]:
    """The rows of each week by the day on which it begins, from the beginning (UTC) of the first row's day on."""
    if not window.n:
        return {}
    first = math.floor(float(window.at.min()) / DAY) * DAY
    number = np.floor((window.at - first) / WEEK)
    found = np.unique(number).tolist()
    if len(found) < 2:
        return {}
    return {f"{datetime.fromtimestamp(first + k * WEEK, UTC):%Y-%m-%d}": window.take(number == k) for k in found}


def _by_doubt(asked: Window, reading: Reading) -> tuple[Measurement, ...]:
    """The answers in parts of one size, the surest first, with what was wrong in each."""
    doubts = reading.doubts(asked)
    plain = reading.number and reading.tolerance is None
    wrong = reading.errors(asked, asked.labels) if plain else reading.wrong(asked, asked.labels)
    known = ~(np.isnan(doubts) | np.isnan(wrong))
    doubts, wrong, at = doubts[known], wrong[known], asked.at[known]
    if len(doubts) < PARTS * LEAST_PART:
        return ()
    edges = np.quantile(doubts, np.arange(1, PARTS) / PARTS)
    part = np.searchsorted(edges, doubts)  # rows of one doubt stay together, so that parts may be of other sizes
    sign = -1.0 if reading.unsure == "below" else 1.0
    found = []
    for k in np.unique(part).tolist():
        rows = part == k
        where = _between(reading.doubt, sign * doubts[rows])
        found.append(
            mean("error", wrong[rows], where) if plain else share_in_time("wrong", wrong[rows], at[rows], where)
        )
    return tuple(found)


def _between(name: str, values: Floats) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{name} {low:.3g}" if low == high else f"{name} {low:.3g} to {high:.3g}"


def _sources(asked: Window, flagged: NDArray[np.bool_], labels: Sequence[Label]) -> Counter[str]:
    """The labels of flagged rows by who gave them."""
    ids = set() if asked.ids is None else set(asked.ids[flagged].tolist())
    return Counter(label.source or "unknown" for label in labels if label.id in ids)


def _kept(window: Window, reading: Reading, promise: Promise | None) -> Verdict | None:
    """Whether what was answered under a promise keeps it."""
    if promise is None or not promise.risk:
        return None
    right = figures(window.take(promise.rows), reading).accuracy_answered
    risk = Measurement("risk_answered", 1 - right.value, right.n, 1 - right.high, 1 - right.low)
    return judge(risk, Requirement("risk_answered", at_most=promise.risk))


def _notes(overall: Figures, reading: Reading, flagged: int, withheld: int, abstains: bool) -> list[str]:
    found = []
    if not flagged:
        next_step = "the release was sure of all of them" if abstains else "`roadworthy calibrate --risk` fits when to"
        found.append(f"no row was flagged: {next_step}")
    elif not overall.overrides.n and withheld < flagged:
        found.append(
            "no flagged row has an answer and a person's label, so how often people overrule it is not known: tell "
            "who labels, as `roadworthy label ID VALUE --by person:anna`"
        )
    if withheld:
        found.append(f"{withheld:,} of {flagged:,} flagged rows were withheld: whether they were right is not known")
    if reading.number and reading.tolerance is None:
        found.append("an answer is a number, which is right or wrong only with `--tolerance`")
    if overall.rows and not overall.error_correlation.n and not overall.error_auroc.n:
        found.append(
            f"no labelled answers of different {reading.doubt}, right ones and wrong ones: doubt is not measured"
        )
    return found
