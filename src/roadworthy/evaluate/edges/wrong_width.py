"""Wrong width: a row holds one value too many, one too few, or none, where the model wants so many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import Case, edge
from roadworthy.evaluate.hostile.edge_rows import asked, is_vector, ordinary_row, with_column


@edge("wrong_width")
@dataclass(frozen=True)
class WrongWidth:
    """Vectors and images with a value too many, too few or none at all; single numbers that come in twos.

    All of them are to be refused: whoever answers has guessed which values were meant.
    """

    columns: tuple[str, ...] = ()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Iterator[Case]:
        for column in asked(sample, self.columns, sample.of_kind("number", "integer", "image")):
            row = ordinary_row(sample, rng)
            values = row.columns[column].reshape(1, -1)
            longer = np.concatenate([values, values[:, -1:]], axis=1)
            yield Case(f"{column}: one value too many", with_column(row, column, longer), "refuse")
            if is_vector(sample, column):
                yield Case(f"{column}: one value too few", with_column(row, column, values[:, :-1]), "refuse")
                yield Case(f"{column}: no values", with_column(row, column, values[:, :0]), "refuse")
