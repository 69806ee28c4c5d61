"""Answer a batch with predictions of known confidence, so that it agrees with the expensive model as promised.

As `batch`, with one threshold and any number of classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.route.cascades.batch import checked
from roadworthy.route.cascades.certify import furthest_count, least_rows
from roadworthy.route.cascades.confident import Cheap
from roadworthy.route.cascades.consistency import delta_left, widened_share
from roadworthy.route.cascades.design import Chances, cuts_of, pilot_rows, plan
from roadworthy.route.cascades.fits import CascadeFit, Level, Target

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class AnsweredClasses:
    """The batch, answered: `classes` (n,), `by_last` (n,) which of them the expensive model gave."""

    classes: Rows
    by_last: Flags
    fit: CascadeFit


def answer_classes(
    rows: Cheap, oracle: Callable[[Rows], Rows], target: Target, rng: np.random.Generator, flips: float = 0.0
) -> AnsweredClasses:
    """`oracle` gives the classes of the rows with these numbers; each is asked for once. NaN confidence is sent on."""
    confidence, n = checked(rows.confidence), len(rows.predicted)
    share, delta = widened_share(target.share(), flips), delta_left(target, flips)
    answers, bought = rows.predicted.astype(np.int64).copy(), np.zeros(n, np.bool_)
    right = np.zeros(n, np.bool_)

    def buy(wanted: Rows) -> None:
        new = np.unique(wanted[~bought[wanted]])
        if len(new):
            answers[new] = oracle(new)
            right[new] = answers[new] == rows.predicted[new]
            bought[new] = True

    sure = np.flatnonzero(np.isfinite(confidence))
    tried, kept, edge = 0, 0, None
    order = sure[:0]
    if len(sure) >= 2 * least_rows(share, delta):
        buy(rng.choice(sure, pilot_rows(len(sure)), replace=False))
        wrong = 1 - Chances.learnt(confidence[bought], right[bought])(confidence)
        left = sure[~bought[sure]]
        order = left[np.argsort(-confidence[left], kind="stable")]
        found = plan(wrong[order], cuts_of(confidence[order]), (1 - share) * n, delta)
        drawn = np.sort(rng.choice(int(found.ends[-1]), found.draws, replace=False)).astype(np.int64)
        buy(order[drawn])
        allowed = int(np.floor((1 - share) * n + 1e-9))
        kept, tried = furthest_count(found.ends, drawn, ~right[order[drawn]], allowed, delta), len(found.ends)
        edge = float(confidence[order[kept - 1]]) if kept else None
    cheap = np.zeros(n, np.bool_)
    cheap[order[:kept]] = True
    buy(np.flatnonzero(~cheap))
    return AnsweredClasses(answers, bought, _fit(target, Level(keep_from=edge, name=rows.name), bought, tried, flips))


def _fit(target: Target, level: Level, bought: Flags, tried: int, flips: float) -> CascadeFit:
    n, count = len(bought), int(bought.sum())
    share = count / n if n else 1.0
    words = (
        f"{target.words} for these {n:,} rows, exact for sampling without putting back; "
        f"{count:,} answered by the last model"
    )
    fit = CascadeFit(
        target,
        "batch",
        (level,),
        n,
        count,
        Measurement("delegation", share, n, share, share),
        words,
        count,
        tried,
        flips or None,
    )
    return fit if tried else fit.shut(f"{n:,} rows are too few to show {target.words}")
