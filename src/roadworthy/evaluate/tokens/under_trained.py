"""Finds tokens that training never or hardly saw, by the rows of a model's embeddings: one in a prompt breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import z_of

Floats = NDArray[np.floating[Any]]


class SuspectToken(Struct, frozen=True):
    """A token that looks untrained: its distance to the known-unused ones, and how far out that lies (robust z)."""

    id: int
    distance: float
    z: float


class UnderTrained(Struct, frozen=True):
    """The share of tokens that look untrained, the nearest first; those known to be unused are not among them."""

    measured: Measurement
    suspects: tuple[SuspectToken, ...]


def under_trained(matrix: NDArray[Any], unused: Sequence[int], alpha: float = 0.01) -> UnderTrained:
    """The tokens as near to the `unused` ones as no trained one is, by rows (n, d) of the unembedding matrix.

    Land & Bartolo 2024 (arXiv 2405.05417): an unused token is only ever pushed away from what is predicted, so all
    unused rows end up in one direction, and the cosine distance to their mean tells who is with them. The first
    principal component, which all rows share, is taken out before. A token is named where its robust z (median and
    MAD) is below what the least of n normal values would be in `alpha` of all models. `unused` are ids that no text can
    become: reserved ones, or those past the end of the vocabulary.
    Raises BadData for fewer than two of them, for ids out of range, and for rows that are not finite.
    """
    rows = _checked(matrix, unused)
    distance = cosine_to_unused(rows, unused)
    others = np.setdiff1d(np.arange(len(rows)), np.asarray(unused))
    z = _robust_z(distance[others])
    below = -z_of(1 - 2 * alpha / len(others))
    found = np.flatnonzero(z < below)
    suspects = [SuspectToken(int(others[k]), float(distance[others[k]]), float(z[k])) for k in found]
    share = len(found) / len(others)
    return UnderTrained(
        Measurement("under_trained_share", share, len(others), share, share, conditions={"z_below": below}),
        tuple(sorted(suspects, key=lambda suspect: suspect.distance)),
    )


def cosine_to_unused(rows: Floats, unused: Sequence[int]) -> Floats:
    """The cosine distance (n,) of each row to the mean of the unused ones, without what all rows have in common."""
    _, vectors = np.linalg.eigh(rows.T @ rows)
    common = vectors[:, -1]
    left = rows - np.outer(rows @ common, common)
    mean = left[np.asarray(unused)].mean(axis=0)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(mean)
    # A row of zeros has no direction. It was never trained either, so it counts as being where the unused ones are.
    cosine = np.divide(left @ mean, lengths, out=np.ones(len(rows)), where=lengths > 0)
    return np.asarray(1.0 - cosine)


def _robust_z(values: Floats) -> Floats:
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))
    return np.asarray((values - middle) / max(float(spread), 1e-12))


def _checked(matrix: NDArray[Any], unused: Sequence[int]) -> Floats:
    given = np.asarray(matrix)
    # A vocabulary of 130,000 rows of 4,096 is 2 GB in float32 already.
    rows = given if given.dtype in (np.float32, np.float64) else given.astype(np.float32)
    if rows.ndim != 2:
        raise BadData(f"embeddings are a matrix (tokens, width), got the shape {rows.shape!r}")
    if len(set(unused)) < 2 or len(rows) - len(set(unused)) < 2:
        raise BadData(
            f"{len(set(unused))} of {len(rows)} tokens are known to be unused; name at least two, such as reserved "
            "ids or those past the end of the vocabulary, and leave at least two to judge"
        )
    if min(unused) < 0 or max(unused) >= len(rows):
        raise BadData(f"the unused ids must be from 0 to {len(rows) - 1}, got {min(unused)} to {max(unused)}")
    broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(broken):
        raise BadData(f"the embedding of token {int(broken[0])} is not finite, and {len(broken) - 1} others")
    return rows
