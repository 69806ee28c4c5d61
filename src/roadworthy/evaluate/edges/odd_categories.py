"""Odd categories: a category that is empty, unseen, endless, in the wrong case, with a blank in front, or null."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import Case, edge
from roadworthy.evaluate.hostile.edge_rows import asked, field_of, ordinary_row, with_value


@edge("odd_categories")
@dataclass(frozen=True)
class OddCategories:
    """Empty, unseen, endless, wrongly cased, padded and null values in each column of categories.

    A category that nobody has seen is to be answered, as models are trained to expect that; so is a null where the
    field is nullable.
    """

    columns: tuple[str, ...] = ()
    unseen: str = "never-seen"
    long: int = 10_000

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Iterator[Case]:
        for column in asked(sample, self.columns, sample.of_kind("category")):
            row, nullable = ordinary_row(sample, rng), field_of(sample, column).nullable
            null: Literal["answer", "either"] = "answer" if nullable else "either"
            yield Case(f"{column}: null", with_value(row, column, None), null)
            yield Case(f"{column}: empty", with_value(row, column, ""), "either")
            yield Case(f"{column}: unseen", with_value(row, column, self.unseen), "answer")
            yield Case(f"{column}: unseen, not ASCII", with_value(row, column, "Ünseen 鷗"), "answer")
            yield Case(f"{column}: very long", with_value(row, column, "x" * self.long), "either")
            yield Case(f"{column}: half a character", with_value(row, column, "\ud83d"), "either")
            known = _known(sample, column, rng)
            if known:
                yield Case(f"{column}: wrong case", with_value(row, column, known.swapcase()), "answer")
                yield Case(f"{column}: a blank in front", with_value(row, column, f" {known}"), "answer")


def _known(sample: Sample, column: str, rng: np.random.Generator) -> str:
    """A value that the column really holds, "" where it holds none."""
    held = [value for value in sample.columns[column] if value]
    return str(held[rng.integers(0, len(held))]) if held else ""
