"""Two models of BANKING77's intents: a kernel machine that keeps all of its rows, and what it taught a linear one.

This file lies in both projects that `http_part.py` serves: `intents.py:Large` and `intents.py:Small` are their engines.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 2**14
RIDGE, SHARPNESS = 0.1, 3.0
Floats = NDArray[np.float32]


def read(file: Path) -> tuple[list[str], list[str]]:
    """The texts and the categories of one split."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def places(text: str) -> NDArray[np.int64]:
    """Where the words, the pairs of words and three to five letters in a row of a text are hashed to."""
    clean = f" {' '.join(text.lower().split())} "
    words = clean.split()
    found = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    found += [clean[i : i + n] for n in (3, 4, 5) for i in range(len(clean) - n + 1)]
    return np.array(sorted({zlib.crc32(one.encode()) % DIMENSIONS for one in found}), np.int64)


def weights_of(rows: Sequence[NDArray[np.int64]]) -> Floats:
    """The inverse document frequency of each place."""
    counts = np.zeros(DIMENSIONS)
    for row in rows:
        counts[row] += 1
    return (np.log((len(rows) + 1) / (counts + 1)) + 1).astype(np.float32)


def matrix(rows: Sequence[NDArray[np.int64]], weights: Floats) -> Floats:
    """The rows as vectors of length 1."""
    found = np.zeros((len(rows), DIMENSIONS), np.float32)
    for k, row in enumerate(rows):
        if len(row):
            found[k, row] = weights[row] / np.linalg.norm(weights[row])
    return found


def kernel(products: Floats) -> Floats:
    """exp(-sharpness/2 * distance^2) between vectors of length 1."""
    return np.exp(SHARPNESS * (products - 1))


def train(texts: Sequence[str], classes: NDArray[np.int64], n_classes: int, folder: Path) -> None:
    """Write `large.npz`, fitted to the classes, and `small.npz`, fitted to what the large one says."""
    rows = [places(text) for text in texts]
    weights = weights_of(rows)
    known = matrix(rows, weights)
    products = known @ known.T
    near, own = kernel(products), np.eye(len(rows), dtype=np.float32)
    ridge = RIDGE * own
    told = np.linalg.solve(near + ridge, np.eye(n_classes, dtype=np.float32)[classes])
    np.savez(folder / "large.npz", weights=weights, known=known, told=told)
    linear = known.T @ np.linalg.solve(products + ridge, near @ told)
    np.savez(folder / "small.npz", weights=weights, linear=linear.astype(np.float32))


def answered(scores: Floats) -> dict[str, Floats]:
    """Scores of the classes, and how far the first is ahead of the second as the confidence."""
    best = np.partition(scores, -2, axis=1)[:, -2:]
    return {"scores": scores, "confidence": np.clip(best[:, 1] - best[:, 0], 0, 1)}


@dataclass(frozen=True)
class Large:
    """Compares a text with each one that it was trained on."""

    file: Path

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
        """The scores of each class."""
        weights, known, told = self._parts
        asked = matrix([places(str(text)) for text in columns["text"][:, 0]], weights)
        return answered(kernel(asked @ known.T) @ told)

    @cached_property
    def _parts(self) -> tuple[Floats, Floats, Floats]:
        found = np.load(self.file)
        return found["weights"], found["known"], found["told"]


@dataclass(frozen=True)
class Small:
    """Adds up what each part of a text says for each class."""

    file: Path

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
        """The scores of each class."""
        weights, linear = self._parts
        scores = np.zeros((len(columns["text"]), linear.shape[1]), np.float32)
        for k, text in enumerate(columns["text"][:, 0]):
            row = places(str(text))
            if len(row):
                scores[k] = (weights[row] / np.linalg.norm(weights[row])) @ linear[row]
        return answered(scores)

    @cached_property
    def _parts(self) -> tuple[Floats, Floats]:
        found = np.load(self.file)
        return found["weights"], found["linear"]
