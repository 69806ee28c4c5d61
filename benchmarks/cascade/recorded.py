"""The recorded answers of a small and a large language model, and what a cascade's answers are worth on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILES = {"boolq": "BOOLQ_P0_12697.csv", "imdb": "IMDB_50000.csv", "sst2": "SST2_68221.csv"}


@dataclass(frozen=True)
class Recorded:
    """`scores`: the small model's probability of true; `truth`: the large model's answer."""

    name: str
    scores: NDArray[np.float64]
    truth: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.scores)

    def ordered(self, order: str, rng: np.random.Generator) -> Recorded:
        """Shuffled, or clustered: rows of like scores beside each other, as in a sorted table."""
        key = rng.random(self.n) if order == "shuffled" else self.scores + rng.normal(0.0, 0.1, self.n)
        rows = np.argsort(key)
        return Recorded(self.name, self.scores[rows], self.truth[rows])


def recorded_in(data: Path) -> list[Recorded]:
    """The sets in `data`/cascade."""
    found = []
    for name, file in FILES.items():
        rows = np.loadtxt(data / "cascade" / file, delimiter=",", skiprows=1, dtype=str)
        found.append(Recorded(name, rows[:, 0].astype(np.float64), np.char.lower(rows[:, 1]) == "true"))
    return found


def reached(answers: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Precision and recall of all answers."""
    hits = int((answers & truth).sum())
    return hits / max(int(answers.sum()), 1), hits / max(int(truth.sum()), 1)
