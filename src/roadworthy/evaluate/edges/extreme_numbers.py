"""Extreme numbers: nothing, infinity, the ends of float32 and int64, and what lies beyond the field's range."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.base import Case, edge
from roadworthy.evaluate.hostile.edge_rows import asked, field_of, is_vector, ordinary_row, with_value

Right = Literal["answer", "refuse", "either"]
Value = float | int
MOST_FLOAT32 = float(np.finfo(np.float32).max)
LEAST_FLOAT32 = float(np.finfo(np.float32).smallest_subnormal)


@edge("extreme_numbers")
@dataclass(frozen=True)
class ExtremeNumbers:
    """NaN, infinities, the largest and smallest numbers and values out of range, in each column of numbers.

    A null is to be answered where the field is nullable, a whole number that no int64 holds is to be refused in a
    column of whole numbers; elsewhere an answer must be finite or the row refused.
    """

    columns: tuple[str, ...] = ()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Iterator[Case]:
        for column in asked(sample, self.columns, sample.of_kind("number", "integer")):
            if is_vector(sample, column):
                continue
            row, field = ordinary_row(sample, rng), field_of(sample, column)
            for name, value, right in (*_values(field), *_out_of_range(field)):
                yield Case(f"{column}: {name}", with_value(row, column, value), right)


def _values(field: Field) -> Iterator[tuple[str, Value, Right]]:
    yield "NaN", math.nan, "answer" if field.nullable else "either"
    yield "infinity", math.inf, "either"
    yield "minus infinity", -math.inf, "either"
    yield "zero", 0.0, "answer" if _allows(field, 0.0) else "either"
    if field.kind == "integer":
        yield from _whole(field)
        return
    yield "minus zero", -0.0, "answer" if _allows(field, 0.0) else "either"
    yield "the smallest denormal", LEAST_FLOAT32, "answer" if _allows(field, 0.0) else "either"
    yield "the largest float32", MOST_FLOAT32, "either"
    yield "the largest float32, below zero", -MOST_FLOAT32, "either"
    yield "1e308, beyond float32", 1e308, "either"
    yield "2^53 + 1, which no float holds", 2**53 + 1, "either"
    yield "a whole number of 31 digits", 10**30, "either"


def _whole(field: Field) -> Iterator[tuple[str, Value, Right]]:
    yield "2^53 + 1, which no float holds", 2**53 + 1, "either"
    yield "the largest int64", 2**63 - 1, "either"
    yield "2^63, beyond int64", 2**63, "either" if field.nullable else "refuse"
    yield "a whole number of 31 digits", 10**30, "either" if field.nullable else "refuse"


def _out_of_range(field: Field) -> Iterator[tuple[str, Value, Right]]:
    width = 1.0 if field.low is None or field.high is None else max(1.0, field.high - field.low)
    if field.low is not None:
        yield "far below its range", field.low - 10 * width, "either"
    if field.high is not None:
        yield "far above its range", field.high + 10 * width, "either"


def _allows(field: Field, value: float) -> bool:
    return (field.low is None or field.low <= value) and (field.high is None or value <= field.high)
