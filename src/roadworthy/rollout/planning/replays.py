"""Plays recorded rows of stable again as both arms of a rollout, to see when a gate passes a twin or stops a bad one.

It knows nothing of stages or of time to come; whoever plans does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.window import Window
from roadworthy.rollout.arms import ids_of, requests
from roadworthy.rollout.base import Expected, Gate, Need

_FIRST, _GROWTH = 64, 1.5
# More rows than this make a plan slow, and are told as not known.
MOST_ROWS = 20_000
REPEATS = 5
# A need is told for four repeats in five, as the gates' own plans do.
_IN_TIME = 4

Harm = Callable[[Window, np.random.Generator], Window]


def twins(rows: Window, share: float, paired: bool, rng: np.random.Generator) -> tuple[Window, Window]:
    """Control and candidate, made of rows of one release: both have all (a shadow), or each request falls to one."""
    if paired:
        return rows, _as_arm(rows, "shadow")
    names, of = np.unique([_request(id) for id in ids_of(rows)], return_inverse=True)
    mine = (rng.random(len(names)) < share)[of]
    return rows.take(~mine), _as_arm(rows.take(mine), "canary")


def known_by(rows: Window, at: float) -> Window:
    """The rows until then, with the labels that were known then."""
    seen = rows.take(rows.at <= at)
    if seen.known_at is None:
        return seen
    late = seen.known_at > at
    return replace(seen, labels=np.where(late, np.nan, seen.labels), known_at=np.where(late, np.nan, seen.known_at))


def replayed_need(leaf: Gate, expected: Expected, rng: np.random.Generator) -> Need | None:
    """What a gate without a plan of its own needs, found by asking it about rows that answered as well.

    None where the rows that there are do not make it pass four times in five.
    """
    rows = expected.stable.take(slice(0, MOST_ROWS))
    passed = [_passes_at(leaf, *twins(rows, expected.share, expected.paired, rng)) for _ in range(REPEATS)]
    asked = sorted(n for n, _ in passed)[_IN_TIME - 1]
    if not math.isfinite(asked):
        return None
    labels = sorted(n for _, n in passed)[_IN_TIME - 1]
    alike = ", by a candidate that answers exactly alike" if expected.paired else ""
    return Need(asked, labels, because=f"found by playing {rows.n:,} rows again{alike}")


def _passes_at(leaf: Gate, control: Window, candidate: Window) -> tuple[float, float]:
    """The candidate's requests and labels with which a gate first passes; no labels where it does without."""
    for so_far, mine in _growing(control, candidate):
        if leaf(so_far, mine).decision == "pass":
            blind = leaf(_unlabelled(so_far), _unlabelled(mine)).decision == "pass"
            return float(requests(mine).n), 0.0 if blind else float((~np.isnan(mine.labels)).sum())
    return math.inf, math.inf


def _unlabelled(rows: Window) -> Window:
    return replace(rows, labels=np.full(rows.n, np.nan))


def _growing(control: Window, candidate: Window) -> Iterator[tuple[Window, Window]]:
    at = np.sort(np.concatenate([control.at, candidate.at]))
    for n in sizes(len(at)):
        yield control.take(control.at <= at[n - 1]), candidate.take(candidate.at <= at[n - 1])


def sizes(rows: int) -> list[int]:
    """How many rows there are at each look: ever more, and at last all of them."""
    steps = [_FIRST]
    while steps[-1] < rows:
        steps.append(math.ceil(steps[-1] * _GROWTH))
    return [*(n for n in steps if n < rows), *([rows] if rows else [])]


@dataclass(frozen=True)
class Stopped:
    """With how many requests of its own a candidate was stopped, and by which of the gates."""

    requests: int
    gate: int


def stopped_at(
    leaves: Sequence[Gate], control: Window, candidate: Window, harm: Harm, rng: np.random.Generator
) -> Stopped | None:
    """When the first of the gates fails a candidate that was harmed so; None where none does.

    Labels are known no sooner than they were.
    """
    harmed = harm(candidate, rng)
    times = np.sort(np.concatenate([control.at, candidate.at]))
    for n in sizes(len(times)):
        at = float(times[n - 1])
        so_far, mine = known_by(control, at), known_by(harmed, at)
        for k, leaf in enumerate(leaves):
            if leaf(so_far, mine).decision == "fail":
                return Stopped(requests(mine).n, k)
    return None


def failing(share: float) -> Harm:
    """Fails `share` of its requests."""

    def harm(rows: Window, rng: np.random.Generator) -> Window:
        fails = rng.random(rows.n) < share
        before = np.full(rows.n, None, object) if rows.errors is None else rows.errors
        return replace(rows, errors=np.where(fails, "RuntimeError: made to fail", before))

    return harm


def slowed(factor: float) -> Harm:
    """Takes `factor` times as long."""

    def harm(rows: Window, rng: np.random.Generator) -> Window:
        return replace(rows, seconds={stage: factor * seconds for stage, seconds in rows.seconds.items()})

    return harm


def mixed_up(rows: Window, rng: np.random.Generator) -> Window:
    """Answers each request with the answer to another one."""
    dealt = rng.permutation(rows.n)
    return replace(rows, outputs={name: answers[dealt] for name, answers in rows.outputs.items()})


def _as_arm(rows: Window, arm: str) -> Window:
    arms: NDArray[np.object_] = np.full(rows.n, arm, object)
    return replace(rows, arms=arms)


def _request(id: str) -> str:
    """The id of the request that a row belongs to."""
    stem, dot, row = id.rpartition(".")
    return stem if dot and row.isdigit() else id
