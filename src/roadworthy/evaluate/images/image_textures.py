"""What lies in front of a lens, made up for the `shape` of a batch of images: layers (n, h, w) of 0 to 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roadworthy.evaluate.images.image_filters import convolved, smooth, streak

Layer = NDArray[np.float64]


def clouds(shape: tuple[int, ...], rough: float, rng: np.random.Generator) -> Layer:
    """Plasma clouds by diamonds and squares (Fournier, Fussell, Carpenter 1982).

    Each halving of the distance divides the chance by `rough`: the smaller, the finer the grain.
    """
    n, h, w = shape[:3]
    size = 2 ** int(np.ceil(np.log2(max(h, w, 2))))
    field, step, wobble = np.zeros((n, size, size)), size, 1.0
    while step >= 2:
        half = step // 2
        field[:, half::step, half::step] = _mean4(field[:, ::step, ::step]) + _chance(n, size // step, wobble, rng)
        _fill_edges(field, step, wobble, rng)
        step, wobble = half, wobble / rough
    return _stretched(field[:, :h, :w])


def crystals(shape: tuple[int, ...], rng: np.random.Generator) -> Layer:
    """Frost on a window: needles that grow from seeds in six directions, over a veil, thicker in places."""
    n, h, w = shape[:3]
    seeds = (rng.random((n, h, w, 1)) < 0.03) * rng.random((n, h, w, 1))
    length, turned = max(3.0, max(h, w) / 8), rng.uniform(0, 60, n)
    needles = np.zeros((n, h, w, 1))
    for turn in range(0, 360, 60):
        needles += convolved(seeds, streak(turned + turn, length, length / 2))
    veil = clouds(shape, 1.8, rng)
    thick = clouds(shape, 3.0, rng)
    return np.asarray(np.clip(0.35 * veil + 0.65 * np.sqrt(_stretched(needles[..., 0])), 0, 1) * (0.5 + 0.5 * thick))


def flakes(shape: tuple[int, ...], share: float, length: float, rng: np.random.Generator) -> Layer:
    """Snow on about `share` of the pixels, drawn out to streaks of `length` pixels on its way down."""
    n, h, w = shape[:3]
    seeds = ((rng.random((n, h, w, 1)) < share) * rng.uniform(0.5, 1, (n, h, w, 1))).astype(np.float64)
    falling = convolved(seeds, streak(rng.uniform(45, 135, n), length, max(1.0, length / 2)))
    return np.asarray(np.clip(falling[..., 0] * (1 + length / 3), 0, 1))


def drops(shape: tuple[int, ...], share: float, size: float, rng: np.random.Generator) -> Layer:
    """Splashes of about `size` pixels that cover `share` of each image, with soft edges."""
    if share <= 0:
        return np.zeros(shape[:3])
    wet = smooth(rng.standard_normal((*shape[:3], 1)), size)[..., 0]
    shore = np.quantile(wet, 1 - share, axis=(1, 2), keepdims=True)
    depth = wet.std(axis=(1, 2), keepdims=True)
    return np.asarray(np.clip(0.5 + (wet - shore) / (0.5 * depth + 1e-12), 0, 1))


def _mean4(corners: Layer) -> Layer:
    """The mean of each corner with those to the right, below and across, around the edge."""
    right, below = np.roll(corners, -1, 2), np.roll(corners, -1, 1)
    return np.asarray((corners + right + below + np.roll(below, -1, 2)) / 4)


def _fill_edges(field: Layer, step: int, wobble: float, rng: np.random.Generator) -> None:
    """The middles of the sides of the squares, from the two corners and the two centres next to each."""
    n, cells, half = len(field), field.shape[1] // step, step // 2
    corners, centres = field[:, ::step, ::step], field[:, half::step, half::step]
    flat = corners + np.roll(corners, -1, 2) + centres + np.roll(centres, 1, 1)
    upright = corners + np.roll(corners, -1, 1) + centres + np.roll(centres, 1, 2)
    field[:, ::step, half::step] = flat / 4 + _chance(n, cells, wobble, rng)
    field[:, half::step, ::step] = upright / 4 + _chance(n, cells, wobble, rng)


def _chance(n: int, cells: int, wobble: float, rng: np.random.Generator) -> Layer:
    return np.asarray(rng.uniform(-wobble, wobble, (n, cells, cells)))


def _stretched(layer: Layer) -> Layer:
    """Each image from 0 to 1; an even one is 0."""
    low, high = layer.min(axis=(1, 2), keepdims=True), layer.max(axis=(1, 2), keepdims=True)
    return np.asarray((layer - low) / np.where(high > low, high - low, 1.0))
