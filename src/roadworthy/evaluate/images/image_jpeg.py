"""What JPEG loses: colours at half the resolution, and 8 x 8 cosine coefficients rounded by a quality."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roadworthy.evaluate.images.image_filters import Matrix, along, averaging, between
from roadworthy.evaluate.images.pixels import Images

# The tables of the standard's annex K (ITU-T T.81, 1992), which every encoder scales by the quality.
_BRIGHT = """
16 11 10 16 24 40 51 61      12 12 14 19 26 58 60 55      14 13 16 24 40 57 69 56      14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77    24 35 55 64 81 104 113 92    49 64 78 87 103 121 120 101  72 92 95 98 112 100 103 99
"""
_COLOURS = """
17 18 24 47 99 99 99 99      18 21 26 66 99 99 99 99      24 26 56 99 99 99 99 99      47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99      99 99 99 99 99 99 99 99      99 99 99 99 99 99 99 99      99 99 99 99 99 99 99 99
"""
# From red, green and blue to brightness and two colours (JFIF 1.02).
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def jpeg(images: Images, quality: float) -> Images:
    """Images (n, h, w, c) of 0 to 1, encoded at a `quality` of 1 to 100 and decoded again."""
    levels = np.rint(images * 255)
    if images.shape[3] != 3:
        return np.asarray(_blocks(levels - 128, _steps(_BRIGHT, quality)) + 128) / 255
    bright, *colours = np.split(levels @ _TO_YCC.T, 3, axis=3)
    bright = _blocks(bright - 128, _steps(_BRIGHT, quality)) + 128
    colours = [_halved(colour, quality) for colour in colours]
    return np.asarray(np.concatenate([bright, *colours], axis=3) @ np.linalg.inv(_TO_YCC).T) / 255


def _halved(colour: Images, quality: float) -> Images:
    """A colour at half its resolution, rounded, and enlarged again."""
    h, w = colour.shape[1:3]
    half = along(colour, averaging(h, (h + 1) // 2), averaging(w, (w + 1) // 2))
    rounded = _blocks(half, _steps(_COLOURS, quality))
    return along(rounded, _doubling(h), _doubling(w))


def _doubling(size: int) -> Matrix:
    """From half the pixels to `size`, three parts of the nearest and one of the next, as libjpeg does."""
    return between((size + 1) // 2, (np.arange(size) + 0.5) / 2 - 0.5)


def _steps(table: str, quality: float) -> NDArray[np.float64]:
    """The table (8, 8) at a quality, by the formula of the Independent JPEG Group."""
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    base = np.array(table.split(), dtype=np.float64).reshape(8, 8)
    return np.clip(np.floor((base * scale + 50) / 100), 1, 255)


def _blocks(images: Images, steps: NDArray[np.float64]) -> Images:
    """Each 8 x 8 block turned into cosines, rounded to multiples of `steps`, and turned back."""
    n, h, w, c = images.shape
    full = np.pad(images, ((0, 0), (0, -h % 8), (0, -w % 8), (0, 0)), mode="edge")
    blocks = full.reshape(n, full.shape[1] // 8, 8, full.shape[2] // 8, 8, c)
    turned = np.einsum("ui,nyixjc,vj->nyuxvc", _COSINES, blocks, _COSINES, optimize=True)
    scale = steps[:, None, :, None]
    kept = np.rint(turned / scale) * scale
    back = np.einsum("ui,nyuxvc,vj->nyixjc", _COSINES, kept, _COSINES, optimize=True)
    return np.asarray(back.reshape(full.shape)[:, :h, :w])


def _cosines() -> NDArray[np.float64]:
    """The orthonormal cosine transform of eight values (Ahmed, Natarajan, Rao 1974)."""
    u, i = np.arange(8)[:, None], np.arange(8)
    return np.asarray(np.cos((2 * i + 1) * u * np.pi / 16) * np.where(u == 0, np.sqrt(1 / 8), 0.5))


_COSINES = _cosines()
