"""Image columns of a sample as arrays (n, height, width, channels) of 0 to 1, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.spoiling import named, with_columns

Images = NDArray[np.float64]
# Spoils a few images (n, h, w, c) of 0 to 1; what it makes is cut to 0 to 1 afterwards.
Spoil = Callable[[Images], Images]

# Images are spoilt a few at a time: float64 copies of so many values are 32 MB each.
_VALUES_AT_ONCE = 4_000_000
# The strengths of ImageNet-C are given for images of 224 pixels.
_STANDARD_SIZE = 224
# Where blurs and shifts stop to shrink with the image: below, they would be less than a pixel, and nothing.
_LEAST_SIZE = 32


def spoil_images(sample: Sample, columns: tuple[str, ...], spoil: Spoil) -> Sample:
    """The sample with its images (none named: all) put through `spoil`; range, shape, type and nulls are kept."""
    wanted = named(sample, columns, "image")
    return with_columns(sample, {name: _spoilt(sample.columns[name], sample.fields[name], spoil) for name in wanted})


def at_level(severity: float, start: float, levels: Sequence[float]) -> float:
    """A strength between the five that the standard names (at 0.2, 0.4, .. 1.0); `start` is that of no change.

    >>> at_level(0.6, 0.0, (0.08, 0.12, 0.18, 0.26, 0.38))
    0.18
    """
    return float(np.interp(severity * len(levels), np.arange(len(levels) + 1), (start, *levels)))


def reach(images: Images, pixels: float) -> float:
    """How far `pixels` of the standard size of 224 go in images of this size."""
    return float(pixels * max(_LEAST_SIZE, *images.shape[1:3]) / _STANDARD_SIZE)


def luma(images: Images) -> Images:
    """How bright each pixel is (n, h, w, 1), by the weights of ITU-R BT.601; grey images are that already."""
    if images.shape[3] != 3:
        return np.asarray(images.mean(axis=3, keepdims=True))
    return np.asarray(images @ np.array([[0.299], [0.587], [0.114]]))


def tinted(images: Images, red: float, green: float, blue: float) -> Images:
    """One colour (1, 1, 1, c) for images with as many channels: itself, or as bright a grey."""
    colour = np.array([red, green, blue]).reshape(1, 1, 1, 3)
    return colour if images.shape[3] == 3 else np.broadcast_to(luma(colour), (1, 1, 1, images.shape[3]))


def _spoilt(column: NDArray[np.float64], field: Field, spoil: Spoil) -> NDArray[np.float64]:
    low, high = 0.0 if field.low is None else field.low, 255.0 if field.high is None else field.high
    shape = (*field.shape, 1)[:3]
    result, few = column.copy(), max(1, _VALUES_AT_ONCE // max(1, field.width))
    for start in range(0, len(column), few):
        rows = column[start : start + few]
        null = np.isnan(rows)
        images = np.where(null, 0.0, (rows - low) / (high - low)).reshape(len(rows), *shape)
        spoilt = np.clip(spoil(images), 0.0, 1.0).reshape(rows.shape)
        result[start : start + few] = np.where(null, rows, low + spoilt * (high - low))
    return result
