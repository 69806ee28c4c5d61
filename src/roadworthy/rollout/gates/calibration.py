"""The calibration gate: the candidate's probabilities must come true as well as stable's do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.arms import failed
from roadworthy.rollout.base import Expected, Need, gate
from roadworthy.rollout.statistics.differences import Allowed, Both, decided, in_rollout
from roadworthy.rollout.statistics.needing import need_of
from roadworthy.rollout.statistics.numbers import floats

_WORDS = {
    "calibration_level": "its answers lie {0:.3f} too {1} on average, stable's {2:.3f} too {3}",
    "calibration_slope": "its answers are {0:.3f} too far {1} on average, stable's {2:.3f} too far {3}",
}
_WAYS = {"calibration_level": ("high", "low"), "calibration_slope": ("apart", "together")}


@dataclass(frozen=True)
class _Parts:
    """An excess with what it is made of: how far off either arm is, with its sign."""

    excess: Measurement
    candidate: float
    control: float


@gate("calibration")
@dataclass(frozen=True)
class Calibration:
    """Fails once the candidate's answers are shown to be over `margin` further off from what came true than stable's.

    The binned error that reports show is lifted by noise alone, by more where there are fewer rows, and an arm with a
    twentieth of the traffic would always look worse. So it compares two means that noise does not lift: the `level`,
    mean (answer - label), and the `slope`, the same mean with high answers counted up and low ones down, which is above
    0 where answers are too sure of themselves. They are the two moments of Cox's test (1958) of intercept and slope.

    Of each, |candidate| - |stable| > margin says that two plain differences lie beyond it: of the two means, and of the
    one and the other with its sign turned. Both must be shown (an intersection-union test, Berger 1982), in pairs of a
    shadow and in what was split apart, each at a quarter of `alpha`. A bad week that lifts the residual of both
    arms is no evidence. Works for numbers as for probabilities; `margin` is in the unit of the label.
    """

    rows_since: ClassVar[Literal["stage", "rollout"]] = "rollout"

    margin: float = 0.03
    alpha: float = 0.05
    least: int = 200
    least_hours: float = 0.0
    output: str = "probability"

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        control, candidate = self._scored(control), self._scored(candidate)
        before, after = self._off(control), self._off(candidate)
        weighted = before * _height(self._answers(control)), after * _height(self._answers(candidate))
        level, slope = in_rollout(control, candidate, (before, after), weighted)
        span = control.at[-1] - control.at[0] if control.n else 0.0
        made = [self._excess("calibration_level", both, span) for both in level]
        made += [self._excess("calibration_slope", both, span) for both in slope]
        by_part = {id(part.excess): part for part in made}
        return decided([p.excess for p in made], lambda m: _said(m, by_part[id(m)]), "calibration")

    def plan(self, expected: Expected) -> Need:
        """The need of the level; the slope's is about the same."""
        rows = self._scored(expected.stable)
        return need_of(expected, self._off(rows), self._allowed("calibration_level"), labelled=True)

    def _allowed(self, name: str) -> Allowed:
        return Allowed(name, self.margin, self.alpha / 4, self.least)

    def _answers(self, rows: Window) -> NDArray[np.float64]:
        return floats(rows.outputs[self.output]) if self.output in rows.outputs else np.full(rows.n, math.nan)

    def _off(self, rows: Window) -> NDArray[np.float64]:
        return self._answers(rows) - rows.labels

    def _scored(self, rows: Window) -> Window:
        return rows.take(np.isfinite(self._off(rows)) & ~failed(rows))

    def _excess(self, name: str, both: Both, span: float) -> _Parts:
        allowed = self._allowed(name)
        apart, turned = allowed.measure(both), allowed.measure(both, times=-1.0)
        if not math.isfinite(apart.low) or span < 3600 * self.least_hours:
            return _Parts(allowed.unknown(both.n, both.where), math.nan, math.nan)
        candidate, control = (apart.value + turned.value) / 2, (turned.value - apart.value) / 2
        low = max(min(apart.low, turned.low), min(-apart.high, -turned.high))
        high = max(min(apart.high, turned.high), min(-apart.low, -turned.low))
        value = abs(candidate) - abs(control)
        return _Parts(allowed.interval(value, low, high, both.n, both.where), candidate, control)


def _height(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """How high each answer is among all of its arm: from -1 to 1, 0 in the middle, 1 from the upper quartile on."""
    if not len(answers):
        return answers
    low, middle, high = np.quantile(answers, [0.25, 0.5, 0.75])
    return np.asarray(np.clip(2 * (answers - middle) / max(high - low, 1e-9), -1.0, 1.0))


def _said(found: Measurement, part: _Parts) -> str:
    ways = _WAYS[found.name]
    own, stables = (ways[0] if value > 0 else ways[1] for value in (part.candidate, part.control))
    words = _WORDS[found.name].format(abs(part.candidate), own, abs(part.control), stables)
    rows = f"{found.n:,} pairs" if found.where == "pairs" else f"{found.n:,} rows an arm"
    return f"{words}, further off by {found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}] on {rows}"
