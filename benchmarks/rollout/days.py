"""Simulated days of a canary: how many requests and errors of each arm there were by each look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.rollout.statistics.sequential import block_ends

A_DAY, LOOKS, SHARE = 200_000, 288, 0.05
LOOK_ENDS = np.arange(1, LOOKS + 1) * A_DAY // LOOKS
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Course:
    """How a day goes: the error rates of both arms and the stages, each with its share and how much harder it is.

    Every stage is as long. A burst is one window of five minutes in 48 in which a fifth of all requests fails, on both
    arms: a database that is away.
    """

    stable: float
    candidate: float
    stages: tuple[tuple[float, float], ...] = ((SHARE, 1.0),)
    bursts: bool = False

    @property
    def starts(self) -> Counts:
        """The request at which each stage begins."""
        return LOOK_ENDS[np.arange(len(self.stages)) * LOOKS // len(self.stages) - 1] * (
            np.arange(len(self.stages)) > 0
        )


@dataclass(frozen=True)
class Day:
    """Simulated counts, (runs, segments): a segment ends at each look and at each end of a block of the gate."""

    course: Course
    ends: Counts
    rows: Counts
    errors: Counts
    candidate_rows: Counts
    candidate_errors: Counts

    @classmethod
    def simulate(cls, course: Course, runs: int, rng: np.random.Generator) -> Day:
        """Each request is dealt to an arm by chance, and fails by chance at the rate of its arm, stage and window."""
        blocks = [start + block_ends(stop - start) for start, stop in stages_of(course)]
        ends = np.unique(np.concatenate([LOOK_ENDS, *blocks]))
        stage = np.searchsorted(course.starts, ends, side="left") - 1
        share, harder = (np.array(part)[stage] for part in zip(*course.stages, strict=True))
        rows = np.broadcast_to(np.diff(ends, prepend=0), (runs, len(ends)))
        on_candidate = rng.binomial(rows, share)
        stable, candidate = (np.broadcast_to(rate * harder, rows.shape) for rate in (course.stable, course.candidate))
        if course.bursts:
            burst = (rng.random((runs, LOOKS)) < 1 / 48)[:, np.searchsorted(LOOK_ENDS, ends)]
            stable, candidate = (np.where(burst, 0.2, rate) for rate in (stable, candidate))
        bad = rng.binomial(on_candidate, candidate)
        errors = bad + rng.binomial(rows - on_candidate, stable)
        return cls(course, ends, rows, errors, on_candidate, bad)

    def until(self, ends: Counts) -> tuple[Counts, Counts, Counts, Counts]:
        """(candidate errors, errors, candidate rows, rows) up to each of `ends`."""
        at = np.searchsorted(self.ends, ends)
        x, r, k, n = (
            np.cumsum(part, axis=1)[:, at]
            for part in (self.candidate_errors, self.errors, self.candidate_rows, self.rows)
        )
        return x, r, k, n


def stages_of(course: Course) -> list[tuple[int, int]]:
    """The first request of each stage and the first after it."""
    starts = course.starts.tolist()
    return list(zip(starts, [*starts[1:], A_DAY], strict=True))
