"""How often the quality gate's interval misses the truth at each look, when both models are equally good.

Days are drawn at random and put one after the other. In every stretch of them a coin says which of the two models is
called the candidate: their true difference is 0 in every metric, and a stretch is a storm that suits one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pool import DAY, HOUR, MORNING, Pool

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import proportion
from roadworthy.core.window import Window
from roadworthy.rollout.gates.quality import Quality

LOOKS = (36, 48, 60, 72, 96, 120)
SHARE = 0.25


@dataclass(frozen=True)
class Week:
    """Both arms of one simulated rollout: `stable` and `candidate` answered every request, `dealt` says who would."""

    stable: Window
    candidate: Window
    dealt: NDArray[np.bool_]

    @classmethod
    def draw(cls, pool: Pool, days: int, storm_hours: float, rng: np.random.Generator) -> Week:
        """`days` days of the pool; the coin is tossed again every `storm_hours`."""
        by_day = pool.days()
        chosen = rng.integers(0, len(by_day), days)
        rows = np.concatenate([by_day[day] for day in chosen])
        # The first day begins at 0: where a row's day was and where it is now.
        was = ((pool.at[rows] - MORNING) // DAY) * DAY + MORNING
        moved = np.repeat(np.arange(days) * DAY, [len(by_day[day]) for day in chosen]) - was
        at, known_at = pool.at[rows] + moved, pool.known_at[rows] + moved
        order = np.argsort(at, kind="stable")
        rows, at, known_at = rows[order], at[order], known_at[order]
        stretch = (at // (storm_hours * HOUR)).astype(np.int64)
        swapped = (rng.random(int(stretch.max()) + 1) < 0.5)[stretch]
        one, other = (scores[rows] for scores in pool.scores)
        ids = np.array([f"f{k}" for k in range(len(rows))], object)
        inputs = {name: column[rows] for name, column in pool.inputs.items()}

        def window(answers: NDArray[np.float64], arm: str) -> Window:
            told = {"probability": answers}
            return Window(
                inputs, told, pool.labels[rows], at, ids=ids, known_at=known_at, arms=np.full(len(rows), arm, object)
            )

        stable, candidate = np.where(swapped, other, one), np.where(swapped, one, other)
        return cls(window(stable, "stable"), window(candidate, "shadow"), rng.random(len(rows)) < SHARE)

    def at_look(self, hours: float, where: str) -> tuple[Window, Window]:
        """What a gate sees then: only what is known, in pairs or each request on one arm."""
        known = (self.stable.known_at <= hours * HOUR) if self.stable.known_at is not None else self.dealt
        if where == "pairs":
            return self.stable.take(known), self.candidate.take(known)
        return self.stable.take(known & ~self.dealt), self.candidate.take(known & self.dealt)


def misses(
    pool: Pool,
    gates: dict[str, Quality],
    wheres: Sequence[str],
    runs: int,
    rng: np.random.Generator,
    storm_hours: float = 6.0,
    looks: Sequence[int] = LOOKS,
) -> dict[tuple[str, str], Counter[str]]:
    """For each gate and each way to compare: at how many runs its interval missed 0 at a look, or ever."""
    counts: dict[tuple[str, str], Counter[str]] = {(name, where): Counter() for name in gates for where in wheres}
    for _ in range(runs):
        week = Week.draw(pool, max(looks) // 24, storm_hours, rng)
        for where in wheres:
            seen = [week.at_look(hours, where) for hours in looks]
            for name, gate in gates.items():
                found = [next(m for m in gate(*arms).evidence if m.where == where) for arms in seen]
                wrong = [not m.low <= 0 <= m.high for m in found]
                counts[name, where].update(str(hours) for hours, miss in zip(looks, wrong, strict=True) if miss)
                counts[name, where]["ever"] += any(wrong)
                counts[name, where]["false fails"] += any(m.low > gate.worse for m in found)
    return counts


def measured(name: str, counts: Counter[str], runs: int, looks: Sequence[int] = LOOKS) -> list[Measurement]:
    """The look that misses most, whether any look misses, and how often the candidate would have been failed."""
    worst = max(counts[str(hours)] for hours in looks)
    return [
        proportion(f"{name}_worst_look", worst, runs),
        proportion(f"{name}_any_look", counts["ever"], runs),
        proportion(f"{name}_failed", counts["false fails"], runs),
    ]
