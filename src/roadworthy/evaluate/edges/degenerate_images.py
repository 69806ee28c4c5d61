"""Degenerate images: black, white, grey, inverted, with one hot or one missing pixel, or out of range."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import Case, edge
from roadworthy.evaluate.hostile.edge_rows import asked, field_of, ordinary_row, with_value

Right = Literal["answer", "refuse", "either"]


@edge("degenerate_images")
@dataclass(frozen=True)
class DegenerateImages:
    """What a covered lens, a dead pixel or a forgotten division by 255 sends, in each column of images.

    A picture within its range is to be answered, whatever it shows; one beyond it is to be answered or refused.
    """

    columns: tuple[str, ...] = ()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Iterator[Case]:
        for column in asked(sample, self.columns, sample.of_kind("image")):
            field, row = field_of(sample, column), ordinary_row(sample, rng)
            low, high = 0.0 if field.low is None else field.low, 255.0 if field.high is None else field.high
            for name, image, right in _images(row.columns[column][0].astype(np.float64), low, high, rng):
                yield Case(f"{column}: {name}", with_value(row, column, image), right)


def _images(
    image: NDArray[Any], low: float, high: float, rng: np.random.Generator
) -> Iterator[tuple[str, NDArray[Any], Right]]:
    pixel, span = int(rng.integers(0, image.size)), high - low
    yield "black", np.full_like(image, low), "answer"
    yield "white", np.full_like(image, high), "answer"
    yield "grey", np.full_like(image, (low + high) / 2), "answer"
    yield "inverted", low + high - image, "answer"
    yield "noise", rng.uniform(low, high, image.shape), "answer"
    yield "one hot pixel", _with_pixel(np.full_like(image, low), pixel, high), "answer"
    yield "one missing pixel", _with_pixel(image, pixel, math.nan), "either"
    yield "nothing but missing pixels", np.full_like(image, math.nan), "either"
    yield "one infinite pixel", _with_pixel(image, pixel, math.inf), "either"
    yield "divided by its range", low + (image - low) / span, "answer"
    yield "multiplied by its range", low + (image - low) * span + span, "either"
    yield "below its range", image - 2 * span, "either"


def _with_pixel(image: NDArray[Any], pixel: int, value: float) -> NDArray[Any]:
    changed = image.copy()
    changed[pixel] = value
    return changed
