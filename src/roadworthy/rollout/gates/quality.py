"""The quality gate: on labelled rows, a candidate must not predict worse than stable does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import auc_contributions, log_losses
from roadworthy.core.window import Window
from roadworthy.rollout.arms import failed, merged, pairs
from roadworthy.rollout.base import gate
from roadworthy.rollout.sequential import difference_of_split, mean_bounds, spread_in_time

LEAST_OF_A_CLASS = 20


@gate("quality")
@dataclass(frozen=True)
class Quality:
    """Fails once the candidate's loss on labelled rows is shown to be over `worse` higher than stable's.

    It passes once the gap is shown to be at most `margin`, which may be wider (what nobody would notice), and then a
    gap within it is no reason to fail either. `auc` compares the ranking, with 1 - AUC for a loss: it is blind to a
    shift of the level, which a bad week forgives, and so the sharper eye for a broken input.

    Requests that both arms answered (shadow) are compared pair by pair, which needs some hundred labels; the others by
    the difference of the arms within blocks of time, which needs many thousand. Either may fail or pass the candidate
    at half of `alpha`, and a fail outweighs a pass. From `least` labels on the chance of ever failing an equally good
    candidate is at most `alpha`. The rows are those of the whole rollout: what a shadow has shown stays.

    Rows that follow each other are not taken for independent: a storm spoils a whole afternoon, and makes many a
    candidate look worse that is better by the end of the week. Nor does it judge before the rows span `least_hours`.
    """

    rows_since: ClassVar[Literal["stage", "rollout"]] = "rollout"

    metric: Literal["log_loss", "auc", "brier", "error", "absolute", "squared"] = "log_loss"
    margin: float = 0.01
    worse: float = 0.01
    alpha: float = 0.05
    least: int = 200
    least_hours: float = 0.0
    output: str = "probability"
    best_at: int = 1000

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        control, candidate = self._scored(control), self._scored(candidate)
        stable, mirrored = pairs(control, candidate)
        found = (
            self._of_pairs(control.take(stable), candidate.take(mirrored)),
            self._of_split(_without(control, stable), _without(candidate, mirrored)),
        )
        shown = [f for f in found if f.high <= self.margin]
        worse = [f for f in found if f.low > self.worse and f not in shown]
        if worse:
            return self._verdict("fail", worse[0], f"worse by more than {self.worse:g}", found)
        if shown:
            return self._verdict("pass", shown[0], f"at most {self.margin:g} is allowed", found)
        if not any(math.isfinite(f.high) for f in found):
            most = max(f.n for f in found)
            span = f" over {self.least_hours:g} hours" if self.least_hours else ""
            because = f"{most} of {self.least} labelled rows{span} with an output {self.output!r}"
            return Verdict("wait", because, self.metric, found)
        nearest = min(found, key=lambda f: f.high - f.low)
        return self._verdict("wait", nearest, f"the upper bound must come down to {self.margin:g}", found)

    def _scored(self, rows: Window) -> Window:
        known = ~np.isnan(rows.labels) & ~failed(rows)
        return rows.take(known if self.output in rows.outputs else np.zeros(rows.n, np.bool_))

    def _of_pairs(self, control: Window, candidate: Window) -> Measurement:
        name, n = f"{self.metric}_difference", candidate.n
        if n < self.least or self._says_little(candidate):
            return Measurement(name, math.nan, n, where="pairs")
        gaps = self._losses(candidate) - self._losses(control)
        mean = float(gaps.mean())
        low, high = mean_bounds(mean, spread_in_time(gaps), n, self.alpha / 2, self.best_at)
        return Measurement(name, mean, n, low, high, where="pairs", conditions={"confidence": 1 - self.alpha / 2})

    def _of_split(self, control: Window, candidate: Window) -> Measurement:
        name, n = f"{self.metric}_difference", min(control.n, candidate.n)
        if n < self.least or self._says_little(control) or self._says_little(candidate):
            return Measurement(name, math.nan, n, where="split")
        order, on_candidate = merged(control, candidate)
        losses = np.concatenate([self._losses(control), self._losses(candidate)])[order]
        mean, spread, effective = difference_of_split(on_candidate, losses)
        low, high = mean_bounds(mean, spread, effective, self.alpha / 2, self.best_at)
        return Measurement(name, mean, n, low, high, where="split", conditions={"confidence": 1 - self.alpha / 2})

    def _says_little(self, rows: Window) -> bool:
        """Whether the rows span too short a time, or for a ranking have next to none of one class."""
        positive = int((rows.labels > 0.5).sum())
        one_sided = self.metric == "auc" and min(positive, rows.n - positive) < LEAST_OF_A_CLASS
        return one_sided or rows.at[-1] - rows.at[0] < 3600 * self.least_hours

    def _losses(self, rows: Window) -> NDArray[np.float64]:
        labels, answers = rows.labels, np.asarray(rows.outputs[self.output], np.float64)
        if self.metric == "auc":
            return 1 - auc_contributions(labels > 0.5, answers)
        if self.metric == "log_loss":
            return log_losses(labels, answers)
        if self.metric == "error":
            return np.asarray((answers >= 0.5) != (labels >= 0.5), np.float64)
        gaps = np.abs(answers - labels)
        return np.asarray(gaps if self.metric == "absolute" else gaps * gaps)

    def _verdict(
        self, decision: Literal["pass", "fail", "wait"], by: Measurement, rule: str, found: tuple[Measurement, ...]
    ) -> Verdict:
        rows = f"{by.n:,} pairs" if by.where == "pairs" else f"{by.n:,} rows an arm"
        because = f"{self.metric} of the candidate {by.value:+.4f} [{by.low:+.4f}, {by.high:+.4f}] on {rows}: {rule}"
        return Verdict(decision, because, self.metric, found)


def _without(rows: Window, places: NDArray[np.int64]) -> Window:
    left = np.ones(rows.n, np.bool_)
    left[places] = False
    return rows.take(left)
