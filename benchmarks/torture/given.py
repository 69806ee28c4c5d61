"""What every trial is given, and how it counts: a folder, a seed, and how much of it to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from roadworthy.core.measure import Measurement


@dataclass(frozen=True)
class Given:
    """`share` scales a trial: 1 is what the project promises."""

    folder: Path
    seed: int
    share: float

    @property
    def rng(self) -> Random:
        """Chance, the same for the same seed."""
        return Random(self.seed)

    def times(self, whole: int) -> int:
        """How often to do something that is done `whole` times in full."""
        return max(1, round(whole * self.share))


def counted(name: str, value: float, n: int, unit: str = "1", **conditions: object) -> Measurement:
    """A number that was counted in full, and so has no interval."""
    return Measurement(name, value, n, value, value, unit, conditions=conditions)
