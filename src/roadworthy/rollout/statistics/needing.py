"""How many rows a bound on a difference needs until it can pass an equal candidate, told before a rollout begins."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import z_of
from roadworthy.rollout.base import Expected, Need
from roadworthy.rollout.statistics.differences import Allowed
from roadworthy.rollout.statistics.sequential import STUDENT, mean_bounds, spread_in_time

# Four times in five, one-sided.
_POWER = z_of(0.6)
# Two releases are mostly right and wrong about the same requests: of their numbers this much goes together, we guess.
LIKENESS = 0.8


def need_of(
    expected: Expected, value: NDArray[np.float64], allowed: Allowed, labelled: bool, times: float = 1.0
) -> Need:
    """The need of a bound on the candidate's mean less `times` stable's, `value` (n,) being stable's numbers."""
    known = value[np.isfinite(value)]
    if len(known) < 2:
        return Need(math.inf, hours=math.inf, because=f"no recent row has what {allowed.name!r} needs")
    # Equal arms differ by (1 - times) stable's mean, which is room where `times` is above 1.
    room = allowed.margin - (1 - times) * float(known.mean())
    spread = _spread(known, expected.paired, times)
    enough = _enough(room, spread, allowed)
    requests = enough if expected.paired else enough / max(1e-9, 1 - expected.share)
    requests = max(requests, float(allowed.least))
    an_hour = expected.share * (expected.labels_an_hour if labelled else expected.requests_an_hour)
    hours = requests / an_hour + (expected.label_delay_hours if labelled else 0.0) if an_hour > 0 else math.inf
    return Need(
        _requests(requests, expected, labelled),
        requests if labelled else 0.0,
        hours,
        _effect(allowed, spread, requests * (1 if expected.paired else 1 - expected.share)),
        _because(allowed, spread, expected.paired),
    )


def _requests(rows: float, expected: Expected, labelled: bool) -> float:
    """Those rows as requests of the candidate, of which only some have a label."""
    if not labelled:
        return rows
    return rows * expected.requests_an_hour / expected.labels_an_hour if expected.labels_an_hour > 0 else math.inf


def _spread(known: NDArray[np.float64], paired: bool, times: float) -> float:
    if paired:
        return math.sqrt(max(0.0, 1 + times * times - 2 * times * LIKENESS)) * spread_in_time(known)
    # The bounds take their spread from few stretches of time, STUDENT times as large.
    return STUDENT * max(1.0, abs(times)) * float(known.std(ddof=1))


def _enough(room: float, spread: float, allowed: Allowed) -> float:
    """The effective rows at which the upper bound comes within `room` four times in five."""
    if room <= 0:
        return math.inf
    few, many = 2.0, 1e12
    for _ in range(60):
        middle = math.sqrt(few * many)
        if _half(spread, middle, allowed) + _POWER * spread / math.sqrt(middle) <= room:
            many = middle
        else:
            few = middle
    return many if many < 1e12 else math.inf


def _effect(allowed: Allowed, spread: float, effective: float) -> Measurement | None:
    if not math.isfinite(effective):
        return None
    above = allowed.margin if allowed.fails_above is None else allowed.fails_above
    seen = above + _half(spread, effective, allowed) + _POWER * spread / math.sqrt(effective)
    return Measurement(allowed.name, seen, int(effective), seen, seen, allowed.unit)


def _half(spread: float, n: float, allowed: Allowed) -> float:
    return mean_bounds(0.0, spread, n, allowed.alpha, allowed.best_at)[1]


def _because(allowed: Allowed, spread: float, paired: bool) -> str:
    guess = f", if {LIKENESS:.0%} of the numbers of both releases go together" if paired else ""
    return f"a row spreads by {spread:.3g} around the mean{guess}; {allowed.margin:.4g} is allowed"
