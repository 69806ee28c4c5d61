"""What the model says, class by class: where its answers moved, so did what it was asked, or it did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import chi2_survival
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.drift.encoding import is_null
from roadworthy.observe.drift.two_sample import compared, judged

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A chi-square is close enough where the smaller window expects this many rows of a class.
FILLED = 5.0


@detector("outputs")
@dataclass(frozen=True)
class Outputs:
    """Alarms when answers moved: probabilities class by class, confidence, predicted classes.

    A Kolmogorov-Smirnov test for each probability or score and a chi-square for predicted classes, corrected for their
    number: black-box shift detection, which of all tests finds a moved mix of classes first (Lipton, Wang and Smola
    2018; Rabanser, Guennemann and Lipton 2019). `alpha` bounds the false alarms of one look; what moved must lie
    `least` apart. `columns` are outputs, all where empty. Answers wider than `most_classes` are left out.
    """

    alpha: float = 0.01
    least: float = 0.05
    columns: tuple[str, ...] = ()
    least_rows: int = 50
    most_classes: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must be between 0 and 1, got {self.alpha!r}")

    def __call__(self, reference: Window, current: Window) -> Verdict:
        if min(reference.n, current.n) < max(1, self.least_rows):
            told = f"{current.n} rows against {reference.n}: {self.least_rows} of each needed"
            return Verdict("wait", told, "outputs")
        for name in self.columns:
            if name not in reference.outputs:
                raise SpecError(unknown("output", name, reference.outputs))
        found = [m for name in self.columns or reference.outputs for m in self._tests(name, reference, current)]
        if reference.confidence is not None and current.confidence is not None:
            found += compared("confidence", reference.confidence, current.confidence)
        if not found:
            return Verdict("wait", "the reference has no answers to compare", "outputs")
        return judged(found, self.alpha, self.least, "answers", "outputs")

    def _tests(self, name: str, reference: Window, current: Window) -> list[Measurement]:
        old = reference.outputs[name]
        new = current.outputs.get(name, np.full((current.n, *old.shape[1:]), np.nan))
        if old.dtype == object or new.dtype == object:
            return [classes(name, old, new)]
        if old.ndim == 1 and new.ndim == 1:
            return compared(name, old, new)
        if old.shape[1:] != new.shape[1:]:
            told = {"p": 0.0, "most": f"shape {old.shape[1:]} became {new.shape[1:]}"}
            return [Measurement("shape", 1.0, current.n, 1.0, 1.0, where=name, conditions=told)]
        if old[0].size > self.most_classes:
            return []
        return _by_class(name, old.reshape(len(old), -1), new.reshape(len(new), -1))


def _by_class(name: str, old: NDArray[np.float64], new: NDArray[np.float64]) -> list[Measurement]:
    """Each class, the largest of all (how sure the model is), and which class that was.

    A class that never comes any more moves few probabilities far, which counts show long before distances do.
    """
    found = [m for k in range(old.shape[1]) for m in compared(f"{name}[{k}]", old[:, k], new[:, k])]
    found += compared(f"max of {name}", old.max(axis=1), new.max(axis=1))
    if old.shape[1] < 2:
        return found
    predicted = [_predicted(side) for side in (old, new)]
    return [*found, classes(f"predicted class of {name}", *predicted)] if min(map(len, predicted)) else found


def _predicted(stated: NDArray[np.float64]) -> NDArray[Any]:
    known = stated[~np.isnan(stated).any(axis=1)]
    return np.asarray(known.argmax(axis=1), object)


def classes(name: str, old: NDArray[Any], new: NDArray[Any]) -> Measurement:
    """Half of the sum over classes of how far their shares moved; `p` is that of a chi-square."""
    counts = [Counter("null" if is_null(value) else str(value) for value in side.tolist()) for side in (old, new)]
    both, n, m = counts[0] + counts[1], len(old), len(new)
    moved = {c: counts[1][c] / m - counts[0][c] / n for c in both}
    filled = [c for c in sorted(both) if both[c] * min(n, m) / (n + m) >= FILLED]
    rest = [sum(count[c] for c in both if c not in filled) for count in counts]
    rows = [(counts[0][c], counts[1][c]) for c in filled]
    if sum(rest) * min(n, m) / (n + m) >= FILLED:
        rows.append((rest[0], rest[1]))
    table = np.array(rows, np.float64).reshape(-1, 2)
    p = 1.0
    if len(table) > 1:
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
        p = chi2_survival(float(((table - expected) ** 2 / expected).sum()), len(table) - 1)
    top = max(moved, key=lambda c: (abs(moved[c]), c))
    told = f"{top}: {counts[0][top] / n:.1%} became {counts[1][top] / m:.1%}"
    distance = sum(map(abs, moved.values())) / 2
    half = 1.96 * float(np.sqrt(len(moved) * (1 / n + 1 / m))) / 2
    low, high = max(0.0, distance - half), min(1.0, distance + half)
    return Measurement("classes", distance, m, low, high, where=name, conditions={"p": p, "most": told})
