"""How the evidence of a gate narrowed as rows came in, and how long it will take until it is narrow enough."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.base import Gate
from roadworthy.rollout.control.followed import Rows
from roadworthy.rollout.planning.replays import known_by
from roadworthy.rollout.rollout_state import RolloutState

Course = tuple[Measurement, ...]

# From fewer rows nothing is foretold.
_LEAST = 50
# A narrowing that needs this many times the rows so far is no forecast any more.
_MOST_TIMES = 100.0


def course(gate: Gate, control: Window, candidate: Window, looks: int = 20) -> Course:
    """What the gate's evidence was at `looks` earlier times, by asking it again about the rows known by then.

    Of several measurements that have bounds, the one that is surest at the end. Looks before there was one are left
    out. For a view only: it costs a call of the gate a look.
    """
    if not candidate.n:
        return ()
    places = candidate.n * np.linspace(0, 1, looks + 1)[1:] ** 1.5
    ends = sorted({max(1, math.ceil(place - 1e-9)) for place in places})
    times = [float(candidate.at[end - 1]) for end in ends[:-1]]
    last = max(float(candidate.at[-1]), float(control.at[-1]) if control.n else 0.0)
    last = max([last, *_finite(candidate), *_finite(control)])
    verdicts = [gate(known_by(control, at), known_by(candidate, at)) for at in [*times, last]]
    chosen = judged(verdicts[-1])
    if chosen is None:
        return ()
    found = [_same(verdict, chosen) for verdict in verdicts]
    return tuple(m for m in found if m is not None)


def courses(state: RolloutState, gates: Sequence[Gate], rows: Rows, looks: int = 20) -> dict[int, Course]:
    """`course` of each signal that was asked, by its place in the hierarchy; `gates` are those of all of it."""
    found = {}
    for place in state.asked:
        leaf = gates[place]
        whole = getattr(leaf, "rows_since", "stage") == "rollout"
        arms = (rows.control, rows.candidate) if whole else (rows.stage_control, rows.stage_candidate)
        found[place] = course(leaf, *arms, looks)
    return found


def judged(verdict: Verdict) -> Measurement | None:
    """The measurement that the verdict hangs on: the narrowest interval with bounds, else the evidence with one."""
    bounded = [m for m in verdict.evidence if "allowed" in m.conditions and math.isfinite(m.value)]
    if bounded:
        return min(bounded, key=lambda m: m.high - m.low)
    return next((m for m in verdict.evidence if "enough" in m.conditions and math.isfinite(m.value)), None)


def times_as_many(m: Measurement) -> float | None:
    """How many times the rows so far it takes until the interval lies at or below what is allowed.

    Its half width is taken to shrink with the root of the rows and its value to stay. None where too few rows say
    nothing, or where it will not pass as it stands.
    """
    allowed = float(m.conditions.get("allowed", math.nan))
    if m.high <= allowed:
        return 1.0
    if m.n < _LEAST or not math.isfinite(m.high) or not m.value < allowed:
        return None
    times = ((m.high - m.value) / (allowed - m.value)) ** 2
    return times if times <= _MOST_TIMES else None


def soonest(verdict: Verdict) -> float | None:
    """`times_as_many` of the measurement that is nearest to its bound; any one of them is enough to pass."""
    found = [times_as_many(m) for m in verdict.evidence if "allowed" in m.conditions]
    return min((times for times in found if times is not None), default=None)


def _same(verdict: Verdict, chosen: Measurement) -> Measurement | None:
    found = (m for m in verdict.evidence if (m.name, m.where) == (chosen.name, chosen.where))
    return next((m for m in found if math.isfinite(m.value)), None)


def _finite(rows: Window) -> Sequence[float]:
    """The latest time at which something became known of the rows."""
    if rows.known_at is None or not np.isfinite(rows.known_at).any():
        return ()
    return (float(np.nanmax(rows.known_at)),)
