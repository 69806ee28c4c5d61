"""The drift gate: without any label, the candidate's answers must not be far from stable's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.arms import failed, merged, pairs, requests, shadowed
from roadworthy.rollout.base import Expected, Need, gate
from roadworthy.rollout.statistics.counted_shares import (
    Apart,
    Coding,
    apart_of_pairs,
    apart_of_split,
    measured,
    said_test,
    spread_out,
)
from roadworthy.rollout.statistics.differences import BEST_AT, Allowed, decided, plainly
from roadworthy.rollout.statistics.needing import need_of
from roadworthy.rollout.statistics.numbers import floats
from roadworthy.rollout.statistics.sequential import mean_bounds

# Two unrelated draws of one law lie a third of the way apart, by rank.
_UNRELATED = 3.0
_SHOWN = 5


@gate("drift")
@dataclass(frozen=True)
class Drift:
    """Fails once answers are shown to differ by more than a retrained model's would; it needs no labels.

    `margin` bounds the shift: the largest difference between the arms in the share of answers that lie above any decile
    of stable's (Kolmogorov's distance), or that are one text, or missing. `moved` bounds, in a shadow, how far single
    answers move: the mean difference by rank, as a part of what the answers to two unrelated requests differ by. A
    broken input hides from the first where its errors cancel, not from the second. On flights, models retrained
    a month apart move by 0.37, and Celsius for Fahrenheit, or UTC for the local hour, moves them by 0.5 to 0.7.

    Where arms are dealt out, the inputs of both must be alike too, to within `inputs`: a difference there is a broken
    assignment, or one arm's broken pipeline. All bounds hold at all looks and columns together with 1 - `alpha`, half
    of it for answers and half for inputs (or for `moved`), so a candidate within the margins fails no more often. They
    are on the average over the requests so far: where traffic has a daily cycle `least_hours` should cover it, for two
    good models may see one morning differently.
    """

    margin: float = 0.2
    moved: float = 0.45
    inputs: float = 0.1
    alpha: float = 0.02
    least: int = 100
    least_hours: float = 0.0

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        control, candidate = _answered(control), _answered(candidate)
        if min(control.n, candidate.n) < self.least:
            because = f"{min(control.n, candidate.n)} of {self.least} answered requests an arm"
            return Verdict("wait", because, "drift")
        hours = float(np.ptp(candidate.at)) / 3600
        if hours < self.least_hours:
            return Verdict("wait", f"answers of {hours:.1f} of {self.least_hours:g} hours", "drift")
        if shadowed(candidate):
            stable, mirrored = pairs(control, candidate)
            found = (
                list(self._of_pairs(control.take(stable), candidate.take(mirrored)))
                if len(stable) >= self.least
                else []
            )
        else:
            found = list(self._of_split(control, candidate))
        if not any(m.where.startswith("outputs.") for m in found):
            return Verdict("wait", "no output of both arms is a number or a text, one a row", "drift")
        words = {id(m): m.conditions["said"] for m in found}
        verdict = decided(found, lambda m: plainly(m, words[id(m)]), "drift")
        return Verdict(verdict.decision, verdict.because, "drift", _worst(found))

    def plan(self, expected: Expected) -> Need:
        """The need of the shift of one output across its median; more outputs and inputs need a little more."""
        coin = np.tile([0.0, 1.0], 100)
        return need_of(expected, coin, self._allowed("shift", self.margin, self.alpha / 20), labelled=False)

    def _allowed(self, name: str, margin: float, alpha: float) -> Allowed:
        return Allowed(name, margin, alpha, self.least)

    def _of_pairs(self, control: Window, candidate: Window) -> Iterator[Measurement]:
        columns = _columns(control.outputs, candidate.outputs)
        alpha = self.alpha / 2 / max(1, len(columns))
        for name, before, after in columns:
            coding = Coding.of(before)
            codes = coding.code(before), coding.code(after)
            apart = apart_of_pairs(*codes, coding.tested(), alpha, BEST_AT)
            yield self._shift(f"outputs.{name}", apart, coding, self.margin, alpha, len(before), "pairs")
            moved = _moves(before, after, codes)
            mean, spread = float(moved.mean()), float(moved.std(ddof=1))
            bounds = mean_bounds(mean, spread, len(moved), alpha, BEST_AT)
            found = self._allowed("moved", self.moved, alpha).interval(
                mean, *bounds, len(moved), f"outputs.{name}: pairs"
            )
            yield _with_words(found, f"single answers {name!r} moved, 1 being as far as unrelated ones, by")

    def _of_split(self, control: Window, candidate: Window) -> Iterator[Measurement]:
        order, on_candidate = merged(control, candidate)
        for side, margin in (("outputs", self.margin), ("inputs", self.inputs)):
            columns = _columns(getattr(control, side), getattr(candidate, side))
            alpha = self.alpha / 2 / max(1, len(columns))
            for name, before, after in columns:
                coding = Coding.of(before)
                code = np.concatenate([coding.code(before), coding.code(after)])[order]
                apart = apart_of_split(on_candidate, code, coding.tested(), alpha, BEST_AT)
                n = min(len(before), len(after))
                yield self._shift(f"{side}.{name}", apart, coding, margin, alpha, n, "split")

    def _shift(
        self,
        column: str,
        apart: Apart,
        coding: Coding,
        margin: float,
        alpha: float,
        n: int,
        how: Literal["pairs", "split"],
    ) -> Measurement:
        allowed = self._allowed("shift", margin, alpha)
        found = allowed.interval(apart.value, apart.low, apart.high, n, f"{column}: {how}")
        test = said_test(coding, apart.which)
        said = f"{apart.before:.1%} of stable's {column} {test}, {apart.after:.1%} of the candidate's, apart by"
        return _with_words(found, said)


def _answered(rows: Window) -> Window:
    rows = requests(rows)
    return rows.take(~failed(rows))


def _columns(
    before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]]
) -> list[tuple[str, NDArray[Any], NDArray[Any]]]:
    """The columns that both arms have, one value a row; where one arm has text and the other numbers, as numbers."""
    found = []
    for name in before:
        if name not in after or not measured([before[name], after[name]]):
            continue
        one, other = before[name], after[name]
        if one.dtype != other.dtype:
            one, other = floats(one), floats(other)
        found.append((name, one, other))
    return found


def _moves(
    before: NDArray[Any], after: NDArray[Any], codes: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> NDArray[np.float64]:
    """How far each answer moved, (n,): 0 is not at all, 1 on average as far as unrelated answers lie apart."""
    if before.dtype == object:
        shares = np.bincount(codes[0]) / len(codes[0])
        unrelated = max(1 - float(shares @ shares), 1 / len(codes[0]))
        return np.asarray((codes[0] != codes[1]) / unrelated, np.float64)
    first = np.sort(spread_out(before))
    first = first[np.isfinite(first)]
    if not len(first):
        return np.asarray((np.isfinite(before) != np.isfinite(after)) * 1.0)
    rank = [_rank(first, values) for values in (before, after)]
    gap = np.abs(rank[1] - rank[0])
    # From a number to none, or back, is as far as it goes.
    return np.asarray(_UNRELATED * np.where(np.isnan(gap), (np.isfinite(before) != np.isfinite(after)) * 1.0, gap))


def _rank(first: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    places = np.searchsorted(first, values, "left") + np.searchsorted(first, values, "right")
    return np.where(np.isfinite(values), places / (2 * len(first)), np.nan)


def _with_words(found: Measurement, said: str) -> Measurement:
    return Measurement(
        found.name,
        found.value,
        found.n,
        found.low,
        found.high,
        found.unit,
        found.where,
        {**found.conditions, "said": said},
    )


def _worst(found: list[Measurement]) -> tuple[Measurement, ...]:
    """Every output, and the inputs that are furthest apart."""
    inputs = sorted((m for m in found if m.where.startswith("inputs.")), key=lambda m: -m.value)
    return (*(m for m in found if m.where.startswith("outputs.")), *inputs[:_SHOWN])
