"""How much higher a number is on the candidate, bounded at all looks together. It knows arrays and what is allowed.

The bounds are the asymptotic confidence sequence of `sequential.mean_bounds`, its variance allowing for rows that
depend on each other in time (docs/decisions/0004).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.arms import merged, pairs, shadowed
from roadworthy.rollout.statistics.sequential import difference_of_split, mean_bounds, spread_in_time

Floats = NDArray[np.float64]
# After how many rows the bounds are narrowest: where most stages of some traffic decide.
BEST_AT = 1000.0


@dataclass(frozen=True)
class Pairs:
    """The number of both arms for the requests that both answered, in time order."""

    control: Floats
    candidate: Floats

    where: Literal["pairs"] = "pairs"

    @property
    def n(self) -> int:
        """How many requests have it on both arms."""
        return len(self.control)

    def estimate(self, times: float = 1.0) -> tuple[float, float, float]:
        """The candidate's mean less `times` stable's, the spread of one value, and how many there are."""
        gaps = self.candidate - times * self.control
        return float(gaps.mean()), spread_in_time(gaps), float(len(gaps))


@dataclass(frozen=True)
class Split:
    """The number of requests that one arm each answered, in time order; `on_candidate` says which."""

    on_candidate: NDArray[np.bool_]
    value: Floats

    where: Literal["split"] = "split"

    @property
    def n(self) -> int:
        """How many rows the arm with fewer of them has."""
        mine = int(self.on_candidate.sum())
        return min(mine, len(self.value) - mine)

    def estimate(self, times: float = 1.0) -> tuple[float, float, float]:
        """The candidate's mean less `times` stable's, within blocks of time, and its spread and effective count."""
        value = self.value if times == 1 else np.where(self.on_candidate, self.value, times * self.value)
        return difference_of_split(self.on_candidate, value)


Both = Pairs | Split


def in_stage(control: Window, candidate: Window, before: Floats, after: Floats) -> Both:
    """A number of the rows of one stage: pairs in a shadow, else split. Rows where it is NaN are left out."""
    if shadowed(candidate):
        return _pairs(before, after, *pairs(control, candidate))
    return _split(control, candidate, before, after)


def in_rollout(control: Window, candidate: Window, *numbers: tuple[Floats, Floats]) -> list[tuple[Both, Both]]:
    """Numbers (of stable, of the candidate) of the rows of all stages: the pairs of its shadows, and what was split."""
    stable, mirrored = pairs(control, candidate)
    alone, own = np.ones(control.n, np.bool_), np.ones(candidate.n, np.bool_)
    alone[stable], own[mirrored] = False, False
    rest = control.take(alone), candidate.take(own)
    return [(_pairs(one, other, stable, mirrored), _split(*rest, one[alone], other[own])) for one, other in numbers]


def _pairs(before: Floats, after: Floats, stable: NDArray[np.int64], mirrored: NDArray[np.int64]) -> Pairs:
    one, other = before[stable], after[mirrored]
    known = np.isfinite(one) & np.isfinite(other)
    return Pairs(one[known], other[known])


def _split(control: Window, candidate: Window, before: Floats, after: Floats) -> Split:
    order, on_candidate = merged(control, candidate)
    value = np.concatenate([before, after])[order]
    known = np.isfinite(value)
    return Split(on_candidate[known], value[known])


@dataclass(frozen=True)
class Allowed:
    """What a difference may be: `margin` passes it, and above `fails_above` it fails. `alpha` is of both sides."""

    name: str
    margin: float
    alpha: float
    least: int
    fails_above: float | None = None
    unit: str = "1"
    best_at: float = BEST_AT

    def measure(self, both: Both, times: float = 1.0, where: str = "") -> Measurement:
        """The candidate's mean less `times` stable's with its bounds; no value below `least` rows an arm."""
        place = where or both.where
        if both.n < max(2, self.least):
            return self.unknown(both.n, place)
        mean, spread, n = both.estimate(times)
        return self.interval(mean, *mean_bounds(mean, spread, n, self.alpha, self.best_at), both.n, place)

    def interval(self, value: float, low: float, high: float, n: int, where: str = "") -> Measurement:
        """A difference with its bounds and what is allowed of it, as a view draws it."""
        return Measurement(self.name, value, n, low, high, self.unit, where, self._conditions)

    def unknown(self, n: int, where: str = "") -> Measurement:
        """No value yet, for lack of rows."""
        return Measurement(self.name, math.nan, n, unit=self.unit, where=where, conditions=self._conditions)

    @property
    def _conditions(self) -> dict[str, Any]:
        above = self.margin if self.fails_above is None else self.fails_above
        return {"confidence": 1 - self.alpha, "allowed": self.margin, "fails_above": above, "least": self.least}


def fails(found: Measurement) -> bool:
    """Whether a difference is shown to be above what may be."""
    return found.n > 0 and found.low > found.conditions["fails_above"]


def passes(found: Measurement) -> bool:
    """Whether a difference is shown to be within what is allowed."""
    return found.n > 0 and found.high <= found.conditions["allowed"]


def decided(found: Sequence[Measurement], said: Callable[[Measurement], str], of: str) -> Verdict:
    """One that fails decides. To pass, each must pass in one of its places (`pairs` of the shadow, or `split`).

    The place is the last word of `where`, as in `outputs.price: pairs`.
    """
    bad = [m for m in found if fails(m)]
    if bad:
        worst = max(bad, key=_beyond)
        return Verdict("fail", f"{said(worst)}: above {_number(worst.conditions['fails_above'])}", of, tuple(found))
    subjects: dict[tuple[str, str], list[Measurement]] = {}
    for m in found:
        subjects.setdefault((m.name, m.where.rpartition(": ")[0]), []).append(m)
    best = [min(group, key=_nearness) for group in subjects.values()]
    missing = [m for m in best if not passes(m)]
    if not missing:
        shown = max(best, key=_nearness)
        return Verdict("pass", f"{said(shown)}: {_number(shown.conditions['allowed'])} is allowed", of, tuple(found))
    return Verdict("wait", _awaited(max(missing, key=_nearness), said), of, tuple(found))


def _awaited(missing: Measurement, said: Callable[[Measurement], str]) -> str:
    if math.isfinite(missing.high):
        return f"{said(missing)}: the upper bound must come down to {_number(missing.conditions['allowed'])}"
    return f"{missing.n} of {missing.conditions['least']} rows an arm with what {missing.name!r} needs"


def _beyond(found: Measurement) -> float:
    """How far the lower bound lies above what may be, in widths of the interval: parts with other units compare."""
    above: float = found.conditions["fails_above"]
    return (found.low - above) / max(found.high - found.low, 1e-12)


def _nearness(found: Measurement) -> float:
    """How many widths of the interval the upper bound lies above what is allowed; infinite where there is none."""
    if not math.isfinite(found.high):
        return math.inf
    allowed: float = found.conditions["allowed"]
    return (found.high - allowed) / max(found.high - found.low, 1e-12)


def plainly(found: Measurement, what: str) -> str:
    """`what` of the candidate is so much higher, in words."""
    unit = "" if found.unit == "1" else f" {found.unit}"
    rows = f"{found.n:,} pairs" if found.where.endswith("pairs") else f"{found.n:,} rows an arm"
    return f"{what} {_signed(found.value)}{unit} [{_signed(found.low)}, {_signed(found.high)}] on {rows}"


def mean_of(name: str, both: Both, unit: str = "1") -> tuple[Measurement, Measurement]:
    """The plain means of both arms, to be shown beside a difference."""
    if isinstance(both, Pairs):
        arms = {"control": both.control, "candidate": both.candidate}
    else:
        arms = {"control": both.value[~both.on_candidate], "candidate": both.value[both.on_candidate]}
    found = [
        Measurement(name, float(v.mean()) if len(v) else math.nan, len(v), unit=unit, where=arm)
        for arm, v in arms.items()
    ]
    return found[0], found[1]


def beside(verdict: Verdict, *more: Measurement) -> Verdict:
    """The verdict with measurements before its evidence that decide nothing, those of some rows only."""
    return replace(verdict, evidence=(*(m for m in more if m.n), *verdict.evidence))


def without_effect_of(value: Floats, covariate: Floats) -> Floats:
    """The value less what a covariate from before the request explains of it (CUPED: Deng, Xu, Kohavi, Walker 2013).

    Both (n,). The arms are dealt by chance, so the covariate's mean is the same on both and the difference stays; only
    its variance shrinks, by the square of their correlation. A row without the covariate is left as it is.
    """
    known = np.isfinite(covariate) & np.isfinite(value)
    centred = np.where(known, covariate - covariate[known].mean(), 0.0) if known.any() else np.zeros(len(value))
    power = float(centred @ centred)
    if not power > 0:
        return value
    return np.asarray(value - float(centred[known] @ value[known]) / power * centred)


def _number(value: float) -> str:
    return f"{value:.4g}"


def _signed(value: float) -> str:
    return f"{value:+.4g}"
