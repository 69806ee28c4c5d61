"""Vectors, such as embeddings: do they still point where they did, and are they as long?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.drift.two_sample import compared, judged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

FARTHEST = 1e150


@detector("projections")
@dataclass(frozen=True)
class Projections:
    """Alarms when vectors moved: along random directions, along their mean's, or in length.

    Kolmogorov-Smirnov tests on `directions` random projections, on the norm, and on the direction in which the mean
    moved, which half of the rows find and the other half test; corrected for their number (Rabanser, Guennemann and
    Lipton 2019). Rows without a vector count too. `alpha` bounds the false alarms of one look over all vectors; what
    moved must lie `least` apart. It looks at every input that is a vector; `columns` names numbers that together make
    one more.
    """

    alpha: float = 0.01
    least: float = 0.05
    directions: int = 16
    columns: tuple[str, ...] = ()
    least_rows: int = 50
    seed: int = 0

    @classmethod
    def example(cls) -> Projections:
        """With numbers that make a vector, for an application that has no other."""
        return cls(columns=("temperature", "hour", "rain"))

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must be between 0 and 1, got {self.alpha!r}")
        if self.directions < 1:
            raise ValueError(f"`directions` must be at least 1, got {self.directions!r}")

    def __call__(self, reference: Window, current: Window) -> Verdict:
        if min(reference.n, current.n) < max(1, self.least_rows):
            told = f"{current.n} rows against {reference.n}: {self.least_rows} of each needed"
            return Verdict("wait", told, "projections")
        old, new = self._vectors(reference), self._vectors(current)
        if not old:
            return Verdict("wait", "the reference has no input that is a vector; `columns` can make one", "projections")
        found = [m for name in old for m in self._tests(name, old[name], new.get(name))]
        if not found:
            return Verdict("wait", "the reference has no vectors to compare", "projections")
        return judged(found, self.alpha, self.least, "vectors", "projections")

    def _vectors(self, window: Window) -> dict[str, Matrix]:
        found = {
            name: values.reshape(len(values), -1).astype(np.float64)
            for name, values in window.inputs.items()
            if values.ndim > 1 and values.dtype != object
        }
        if self.columns:
            for name in self.columns:
                if name not in window.inputs or window.inputs[name].dtype == object:
                    numbers = [n for n, v in window.inputs.items() if v.dtype != object]
                    raise SpecError(unknown("number", name, numbers))
            found["+".join(self.columns)] = np.stack([window.inputs[name] for name in self.columns], axis=1)
        return found

    def _tests(self, name: str, old: Matrix, new: Matrix | None) -> list[Measurement]:
        if new is None or new.shape[1] != old.shape[1]:
            told = f"width {old.shape[1]} became {'nothing' if new is None else new.shape[1]}"
            rows = 1 if new is None else len(new)
            return [Measurement("width", 1.0, rows, 1.0, 1.0, where=name, conditions={"p": 0.0, "most": told})]
        old, new = _finite(old), _finite(new)
        known = old[~np.isnan(old[:, 0])]
        if len(known) < 2:
            return []
        centre, spread = known.mean(axis=0), known.std(axis=0)
        scaled = [(v - centre) / np.where(spread > 0, spread, 1.0) for v in (old, new)]
        rng = np.random.default_rng(self.seed)
        found = compared(f"norm of {name}", np.linalg.norm(old, axis=1), np.linalg.norm(new, axis=1))
        found += self._random(name, scaled[0], scaled[1], rng)
        return found + _mean_direction(name, scaled[0], scaled[1], rng)

    def _random(self, name: str, old: Matrix, new: Matrix, rng: np.random.Generator) -> list[Measurement]:
        directions = rng.normal(size=(old.shape[1], self.directions))
        before, after = old @ directions, new @ directions
        known = ~np.isnan(before[:, 0]), ~np.isnan(after[:, 0])
        return [
            m
            for k in range(self.directions)
            for m in compared(f"direction {k + 1} of {name}", before[known[0], k], after[known[1], k])
        ]


def _finite(vectors: Matrix) -> Matrix:
    """A row that lacks one of its numbers is no vector: all of it becomes null."""
    whole = np.isfinite(vectors).all(axis=1, keepdims=True)
    return np.where(whole, np.clip(vectors, -FARTHEST, FARTHEST), np.nan)


def _mean_direction(name: str, old: Matrix, new: Matrix, rng: np.random.Generator) -> list[Measurement]:
    """Half of the rows say where the mean moved; only the others are tested along it."""
    known = [side[~np.isnan(side[:, 0])] for side in (old, new)]
    if min(len(side) for side in known) < 4:
        return []
    halves = [np.array_split(side[rng.permutation(len(side))], 2) for side in known]
    direction = halves[1][0].mean(axis=0) - halves[0][0].mean(axis=0)
    return compared(f"mean direction of {name}", halves[0][1] @ direction, halves[1][1] @ direction)
