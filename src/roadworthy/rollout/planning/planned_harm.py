"""How many users a bad candidate would reach before it is stopped, found by playing recorded rows through the gates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from roadworthy.rollout.planning.replays import Harm, Stopped, failing, mixed_up, slowed, stopped_at, twins
from roadworthy.rollout.planning.rollout_plan import Exposure
from roadworthy.rollout.planning.stage_needs import Ahead, Asked

Rng = np.random.Generator

HARMS: Mapping[str, Harm] = {
    "every request fails": failing(1.0),
    "5 % of the requests fail": failing(0.05),
    "answers take twice as long": slowed(2.0),
    "answers are those to other requests": mixed_up,
}
# Fewer rows say nothing, and more make a plan slow.
_LEAST_ROWS, _MOST_ROWS = 200, 5000
_REPEATS = 5


def exposures(ahead: Sequence[Ahead], signals: Sequence[Asked], look_hours: float, seed: int) -> tuple[Exposure, ...]:
    """For each harm the median of a few replays, through the stages that answer users as they follow each other."""
    if min(stage.rows.n for stage in ahead) < _LEAST_ROWS:
        return ()
    found = []
    for place, (name, harm) in enumerate(HARMS.items()):
        # Each in splits of its own: what one unlucky split has a gate say by chance is outvoted by the others.
        rngs = [np.random.default_rng((seed, place, k)) for k in range(_REPEATS)]
        repeats = [_exposure(name, harm, ahead, signals, look_hours, rng) for rng in rngs]
        found.append(sorted(repeats, key=lambda e: (not e.stage, e.requests))[_REPEATS // 2])
    return tuple(found)


def _exposure(
    name: str, harm: Harm, ahead: Sequence[Ahead], signals: Sequence[Asked], look_hours: float, rng: Rng
) -> Exposure:
    answered, shadow = 0.0, ""
    for place in ahead:
        asked = [s for s in signals if s.signal.may != "advise" and s.speaks_in(place.stage)]
        found = _stopped(harm, place, asked, rng)
        by = "" if found is None else asked[found.gate].name
        if place.paired:
            shadow = shadow or by
            continue
        an_hour = place.share * place.forecast.requests_an_hour
        if found is not None:
            return Exposure(name, answered + found.requests, place.name, by, an_hour * look_hours, shadow)
        answered += an_hour * place.stage.hours
    return Exposure(name, answered, shadow=shadow)


def _stopped(harm: Harm, place: Ahead, asked: Sequence[Asked], rng: Rng) -> Stopped | None:
    """By the first gate that fails it, in no more rows than the least hours of the stage bring.

    Where those are too many to play, the first of them are, and if none of these stops it, a part of all: labels that
    come late are among them only then. Each row stands for several there, which all were answered.
    """
    if not asked:
        return None
    leaves = [s.in_stage(place.share, int(rng.integers(2**31))) for s in asked]
    wanted = _rows_of_stage(place)
    every = math.ceil(wanted / _MOST_ROWS)
    for rows, times in ((slice(0, min(wanted, _MOST_ROWS)), 1), (slice(0, wanted, every), every)):
        found = stopped_at(leaves, *twins(place.rows.take(rows), place.share, place.paired, rng), harm, rng)
        if found is not None:
            return Stopped(found.requests * times, found.gate)
        if every == 1:
            break
    return None


def _rows_of_stage(place: Ahead) -> int:
    """The rows of its least hours, as far as there are any."""
    a_request = place.rows.n / max(1, place.forecast.rows)
    hours = place.stage.hours or place.stage.at_most_hours
    return min(place.rows.n, math.ceil(a_request * place.forecast.requests_an_hour * hours))
