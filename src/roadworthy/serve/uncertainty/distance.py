"""How far a row is from the rows that a model was trained on: by their spread, or by the nearest of them.

Both are fitted once, written as arrays beside the model, and read without running any code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.errors import BadData
from roadworthy.serve.safe_import import load
from roadworthy.serve.uncertainty.strangeness import p_values, see_held, some_of

Floats = NDArray[np.float64]

# Rows whose distances to all the points are held in memory at once.
_BLOCK = 1024


@dataclass(frozen=True)
class Spreads:
    """The Mahalanobis distance to the nearest of the class means, the classes sharing one spread.

    Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples". `whitening` (d, d) turns
    that spread into a ball, and `means` (c, d) lie there; a null (NaN) lies at `centre`. `held` are the sorted
    distances of rows held out.
    """

    means: Floats
    whitening: Floats
    centre: Floats
    held: Floats

    def distances(self, rows: NDArray[Any]) -> Floats:
        """The distance of each row (n, d)."""
        return _nearest(_filled(rows, self.centre) @ self.whitening, self.means, 1)


@dataclass(frozen=True)
class Neighbours:
    """The distance to the `k`-th nearest of `points` (m, d), in units of each column's own spread.

    Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbours". Rows are centred and divided by
    `scale`; a null (NaN) lies at `centre`. The points are a coreset: no row that was trained on is far from all of them
    (Sener & Savarese 2018). `held` are the sorted distances of rows held out.
    """

    points: Floats
    centre: Floats
    scale: Floats
    k: NDArray[np.int64]
    held: Floats

    def distances(self, rows: NDArray[Any]) -> Floats:
        """The distance of each row (n, d)."""
        return _nearest((_filled(rows, self.centre) - self.centre) / self.scale, self.points, int(self.k))


Reference = Spreads | Neighbours
Fitted = TypeVar("Fitted", Spreads, Neighbours)


def strangeness(reference: Reference, rows: NDArray[Any]) -> tuple[Floats, Floats]:
    """The distance of each row (n, d) and its p-value. Raises BadData for rows of another width."""
    width = len(reference.centre)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise BadData(f"the reference was fitted to {width} values a row, and the rows have the shape {rows.shape}")
    found = reference.distances(np.asarray(rows, np.float64))
    return found, p_values(reference.held, found)


def fit_spreads(
    rows: ArrayLike, held: ArrayLike, rng: Random, classes: ArrayLike | None = None, shrink: float = 0.05
) -> Spreads:
    """The reference of rows (n, d) that the model was trained on; `held` (m, d) are others of the same kind.

    `classes` (n,), where given, have a mean each. `shrink` moves the shared covariance towards a ball of the same size,
    so that columns which hardly vary do not rule. Raises BadData where there is too little to fit.
    """
    x, centre = _fitting(rows, held)
    groups = np.zeros(len(x)) if classes is None else np.asarray(classes)
    if len(groups) != len(x):
        raise BadData(f"each row has a class or none has, got {len(groups)} classes for {len(x)} rows")
    kinds, member = np.unique(groups, return_inverse=True)
    means = np.stack([x[member == k].mean(axis=0) for k in range(len(kinds))])
    inner = x - means[member]
    covariance = inner.T @ inner / len(x)
    ball = np.trace(covariance) / len(centre)
    values, vectors = np.linalg.eigh((1 - shrink) * covariance + shrink * ball * np.eye(len(centre)))
    whitening = vectors / np.sqrt(np.maximum(values, 1e-12 * max(values.max(), 1e-300)))
    return _with_held(Spreads(means @ whitening, whitening, centre, np.empty(0)), held, rng)


def fit_neighbours(rows: ArrayLike, held: ArrayLike, rng: Random, most: int = 500, k: int = 1) -> Neighbours:
    """The reference of rows (n, d) that the model was trained on, kept as `most` of them; see `fit_spreads`.

    Each point in turn is the row that is farthest from those chosen before (Gonzalez 1985).
    """
    x, centre = _fitting(rows, held)
    if not 1 <= k <= min(most, len(x)):
        raise BadData(f"`k` must be between 1 and the number of points kept, {min(most, len(x))}; got {k!r}")
    spread = x.std(axis=0)
    scale = np.where(spread > 0, spread, max(float(spread.max()), 1e-12))
    scaled = (x - centre) / scale
    points = scaled[_farthest_first(scaled, most, rng.randrange(len(x)))]
    return _with_held(Neighbours(points, centre, scale, np.array(k), np.empty(0)), held, rng)


def write(reference: Reference, file: Path) -> Path:
    """Write a reference as arrays (npz). Returns the file."""
    kind = np.array(_KINDS.index(type(reference)))
    arrays = {field.name: getattr(reference, field.name) for field in fields(reference)}
    np.savez(file, kind=kind, **arrays)
    return file


def read(file: Path) -> Reference:
    """A reference that `write` wrote. Raises BadData where the file holds something else."""
    found = load(file)
    arrays = found if isinstance(found, Mapping) else {}
    number = arrays.get("kind")
    wanted = _KINDS[int(number)] if number is not None and int(number) in (0, 1) else None
    if wanted is None or {field.name for field in fields(wanted)} != arrays.keys() - {"kind"}:
        raise BadData(f"{str(file)!r} is no reference of distances: write one with `uncertainty.distance.write`")
    return wanted(**{name: array for name, array in arrays.items() if name != "kind"})


_KINDS: tuple[type[Reference], ...] = (Spreads, Neighbours)


def _fitting(rows: ArrayLike, held: ArrayLike) -> tuple[Floats, Floats]:
    """The rows with nulls filled, and where those go. Raises BadData for rows that nothing can be fitted to."""
    x, y = np.asarray(rows, np.float64), np.asarray(held, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or len(x) < 2 or not x.shape[1]:
        raise BadData(f"distances need rows (n, d) and held-out rows (m, d), got {x.shape} and {y.shape}")
    if np.isinf(x).any() or np.isnan(x).all(axis=0).any():
        raise BadData("a column that is infinite somewhere, or null everywhere, has no distances: leave it out")
    centre = np.nanmean(x, axis=0)
    if not np.nanstd(x, axis=0).any():
        raise BadData(f"all {len(x)} rows are alike: nothing is nearer or farther")
    return _filled(x, centre), centre


def _with_held(reference: Fitted, held: ArrayLike, rng: Random, most: int = 999) -> Fitted:
    found = reference.distances(np.asarray(held, np.float64))
    see_held(found)
    return replace(reference, held=some_of(found, most, rng))


def _filled(rows: NDArray[Any], centre: Floats) -> Floats:
    return np.where(np.isnan(rows), centre, rows)


def _nearest(rows: Floats, points: Floats, k: int) -> Floats:
    """The distance of each row to the k-th nearest of the points."""
    found = [_nearest_of(rows[start : start + _BLOCK], points, k) for start in range(0, len(rows), _BLOCK)]
    return np.concatenate(found) if found else np.empty(0)


def _nearest_of(rows: Floats, points: Floats, k: int) -> Floats:
    squares = (rows**2).sum(axis=1)[:, None] - 2 * rows @ points.T + (points**2).sum(axis=1)
    kth = squares.min(axis=1) if k == 1 else np.partition(squares, k - 1, axis=1)[:, k - 1]
    # Rounding can make the square of a distance of nearly nothing negative.
    return np.sqrt(np.maximum(kth, 0.0))


def _farthest_first(rows: Floats, most: int, first: int) -> list[int]:
    chosen = [first]
    away = ((rows - rows[first]) ** 2).sum(axis=1)
    while len(chosen) < most and away.max() > 0:
        chosen.append(int(away.argmax()))
        away = np.minimum(away, ((rows - rows[chosen[-1]]) ** 2).sum(axis=1))
    return chosen
