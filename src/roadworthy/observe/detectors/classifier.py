"""A classifier that tells the current rows from those of the reference: can it, on rows that it has not seen?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import auc
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.drift.encoding import Columns, Encoding, aligned, rows_of
from roadworthy.observe.drift.two_sample import rank_sum_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

PAIRS = 32
# In standard errors: what a difference must exceed to enter the score, alone and as one of thousands of pairs.
LEAST_ALONE, LEAST_PAIR = 1.5, 2.5
# Added to the covariance, so that many features on few rows do not make it singular.
RIDGE = 0.1
# Of what the first column moves the score, how much another one must to be named beside it.
SHOWN = 0.1
# Multiplications up to which OpenBLAS starts no second thread.
ONE_THREAD = 2**18


@detector("classifier")
@dataclass(frozen=True)
class Classifier:
    """Alarms when a classifier tells current rows from reference rows, with an exact p-value.

    It sees what no column shows by itself: two inputs that no longer go together. A linear discriminant of the
    columns and of the pairs of columns whose product differs most is learnt on half of the rows; how it ranks the other
    half is a rank sum, whose law is exact at any size (Lopez-Paz and Oquab 2017, with the test of Mann and Whitney).
    `alpha` bounds the false alarms of one look over all columns; it alarms where the AUC is `least` or more too.
    `columns` are inputs or outputs, all inputs where empty. At most `most_rows` of each window are learnt from. Rows
    count as independent.
    """

    alpha: float = 0.01
    least: float = 0.53
    columns: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    least_rows: int = 50
    most_rows: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must be between 0 and 1, got {self.alpha!r}")
        if not 0.5 <= self.least < 1:
            raise ValueError(f"`least` is an AUC, at least 0.5 and below 1, got {self.least!r}")
        if self.least_rows < 10:
            raise ValueError(f"`least_rows` must be at least 10, got {self.least_rows!r}")

    def __call__(self, reference: Window, current: Window) -> Verdict:
        if min(reference.n, current.n) < self.least_rows:
            told = f"{current.n} rows against {reference.n}: {self.least_rows} of each needed"
            return Verdict("wait", told, "classifier")
        old, new = aligned(reference, current, self._names(reference))
        if not old:
            return Verdict("wait", "the reference has no column to compare", "classifier")
        rng = np.random.default_rng(self.seed)
        learn, test = (self._halves(columns, rng) for columns in (old, new))
        score = Score.learnt(learn[0], test[0])
        verdict = self._judge(score(learn[1]), score(test[1]), list(old), rng)
        unknown_names = [name for name in current.inputs if name not in reference.inputs]
        if not unknown_names or self.columns:
            return verdict
        return replace(verdict, because=f"{verdict.because}; not in the reference: {', '.join(unknown_names[:5])}")

    def _names(self, reference: Window) -> tuple[str, ...]:
        known = {**reference.outputs, **reference.inputs}
        for name in (*self.columns, *self.ignore):
            if name not in known:
                raise SpecError(unknown("column", name, known))
        return tuple(name for name in self.columns or reference.inputs if name not in self.ignore)

    def _halves(self, columns: Columns, rng: np.random.Generator) -> tuple[Columns, Columns]:
        """The rows to learn from and those to test on, which are as many as there are."""
        rows = rng.permutation(len(next(iter(columns.values()))))
        learnt = min(self.most_rows, len(rows) // 2)
        return rows_of(columns, rows[:learnt]), rows_of(columns, rows[learnt:])

    def _judge(self, before: Matrix, after: Matrix, names: list[str], rng: np.random.Generator) -> Verdict:
        scores = before.sum(axis=1), after.sum(axis=1)
        p = rank_sum_p(*scores, rng)
        found = auc(np.repeat([0.0, 1.0], [len(before), len(after)]), np.concatenate(scores))
        whole = Measurement(
            "auc", found.value, found.n, found.low, found.high, conditions={"p": p, "alpha": self.alpha}
        )
        spread = float(np.sqrt((scores[0].var() + scores[1].var()) / 2))
        parts = [_part(name, before[:, k], after[:, k], spread) for k, name in enumerate(names)]
        parts.sort(key=lambda part: -part.value)
        told = f"AUC {found.value:.3f} on {len(after)} rows that it had not seen (p {p:.2g})"
        evidence = (whole, *parts)
        if p > self.alpha or not found.value >= self.least:
            return Verdict("pass", f"current rows cannot be told from the reference: {told}", "classifier", evidence)
        shown = [part for part in parts if part.low > 0 and part.value >= SHOWN * parts[0].value][:5] or parts[:1]
        most = ", ".join(f"{part.where} {part.value:.2f}" for part in shown)
        told = f"current rows can be told from the reference: {told}; by {most} standard deviations"
        return Verdict("fail", told, "classifier", evidence)


@dataclass(frozen=True)
class Score:
    """What was learnt: a weight for each feature and for each product of two."""

    encoding: Encoding
    weights: Matrix = field(repr=False)
    left: NDArray[np.int64]
    right: NDArray[np.int64]

    @classmethod
    def learnt(cls, old: Columns, new: Columns) -> Score:
        """From rows of both laws: Fisher's discriminant, whose differences are shrunk (Tibshirani et al. 2002)."""
        encoding = Encoding.of({name: np.concatenate([old[name], new[name]]) for name in old})
        before, after = encoding(old), encoding(new)
        left, right = _pairs(before, after, encoding)
        before, after = _with_products(before, left, right), _with_products(after, left, right)
        least = np.repeat([LEAST_ALONE, LEAST_PAIR], [len(encoding.owners), len(left)])
        return cls(encoding, _discriminant(before, after, least), left, right)

    def __call__(self, columns: Columns) -> Matrix:
        """The part (n, columns) of each column in the score of each row; a product counts half to either."""
        features = _with_products(self.encoding(columns), self.left, self.right) * self.weights
        parts = np.zeros((len(features), len(self.encoding.codes)))
        owners = self.encoding.owners
        for k, owner in enumerate(owners):
            parts[:, owner] += features[:, k]
        for k, (one, other) in enumerate(zip(owners[self.left], owners[self.right], strict=True)):
            parts[:, one] += features[:, len(owners) + k] / 2
            parts[:, other] += features[:, len(owners) + k] / 2
        return parts


def _pairs(before: Matrix, after: Matrix, encoding: Encoding) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The two features each of the products that differ most, of all pairs of columns."""
    simple = np.flatnonzero(encoding.simple)
    (old, old_spread), (new, new_spread) = (_products(side[:, simple]) for side in (before, after))
    variance = (len(before) * old_spread + len(after) * new_spread) / (len(before) + len(after))
    error = np.sqrt(np.maximum(variance, 1e-3) * (1 / len(before) + 1 / len(after)))
    differs = np.abs(new - old) / error
    owners = encoding.owners[simple]
    differs[owners[:, None] >= owners] = 0.0
    top = np.argsort(-differs, axis=None, kind="stable")[:PAIRS]
    one, other = np.unravel_index(top[differs.ravel()[top] > LEAST_PAIR], differs.shape)
    return simple[one], simple[other]


def _products(features: Matrix) -> tuple[Matrix, Matrix]:
    """Mean and variance of the product of every two features, each (F, F)."""
    means = _gram(features) / len(features)
    return means, _gram(features**2) / len(features) - means**2


def _gram(features: Matrix) -> Matrix:
    """The products of all features, summed over the rows (F, F).

    In slices so small that BLAS keeps to one thread: two that wait for each other on a busy machine take ten times
    as long as one.
    """
    width = features.shape[1]
    rows, total = max(16, ONE_THREAD // width**2), np.zeros((width, width))
    for start in range(0, len(features), rows):
        part = features[start : start + rows]
        total += part.T @ part
    return total


def _with_products(features: Matrix, left: NDArray[np.int64], right: NDArray[np.int64]) -> Matrix:
    return np.concatenate([features, features[:, left] * features[:, right]], axis=1)


def _discriminant(before: Matrix, after: Matrix, least: Matrix) -> Matrix:
    """Weights (F,): the shrunk difference of the means, over the covariance within both and a ridge."""
    n, m = len(before), len(after)
    centred = np.concatenate([before - before.mean(axis=0), after - after.mean(axis=0)])
    spread = np.sqrt(np.maximum(centred.var(axis=0), 1e-2))
    covariance = _gram(centred / spread) / (n + m)
    difference = (after.mean(axis=0) - before.mean(axis=0)) / spread
    noise = least * np.sqrt(1 / n + 1 / m)
    shrunk = np.sign(difference) * np.maximum(np.abs(difference) - noise, 0.0)
    ridge = RIDGE + len(shrunk) / (n + m)
    return np.asarray(np.linalg.solve(covariance + ridge * np.eye(len(shrunk)), shrunk) / spread)


def _part(name: str, before: Matrix, after: Matrix, spread: float) -> Measurement:
    """How far the column moves the mean score, in standard deviations of the score within a window."""
    n, m = len(before), len(after)
    scale = spread or 1.0
    moved = float(after.mean() - before.mean()) / scale
    half = 1.96 * float(np.sqrt(before.var() / n + after.var() / m)) / scale
    return Measurement("separation", moved, m, moved - half, moved + half, where=name)
