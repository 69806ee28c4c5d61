"""Filters on batches of images (n, h, w, c): smoothing, resizing, convolution and displacement, in numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roadworthy.evaluate.images.pixels import Images

Matrix = NDArray[np.float64]


def along(images: Images, down: Matrix, across: Matrix) -> Images:
    """A linear map of the rows of pixels and one of the columns: (h', h) and (w', w) give images of h' x w'."""
    return np.asarray(np.einsum("ih,nhwc,jw->nijc", down, images, across, optimize=True))


def smooth(images: Images, sigma: float) -> Images:
    """Gaussian blur of `sigma` pixels."""
    return along(images, smoothing(images.shape[1], sigma), smoothing(images.shape[2], sigma))


def smoothing(size: int, sigma: float) -> Matrix:
    """The (size, size) matrix of a Gaussian blur of one line of pixels, mirrored at its ends."""
    if sigma <= 0:
        return np.eye(size)
    reach = int(4 * sigma + 0.5)
    steps = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (steps / sigma) ** 2)
    blur = np.zeros((size, size))
    at = mirrored(np.arange(size)[:, None] + steps, size)
    np.add.at(blur, (np.broadcast_to(np.arange(size)[:, None], at.shape), at), weights / weights.sum())
    return blur


def mirrored(places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Places outside of 0 .. size - 1, mirrored into it.

    >>> mirrored(np.array([-2, -1, 0, 3, 4]), 4).tolist()
    [1, 0, 0, 3, 3]
    """
    folded = places % (2 * size)
    return np.asarray(np.where(folded < size, folded, 2 * size - 1 - folded))


def averaging(size: int, fewer: int) -> Matrix:
    """The (fewer, size) matrix that shrinks a line of pixels: each new one is the mean of what it covers."""
    edges = np.linspace(0, size, fewer + 1)
    left, right = np.maximum(edges[:-1, None], np.arange(size)), np.minimum(edges[1:, None], np.arange(1, size + 1))
    return np.asarray(np.maximum(0, right - left) * fewer / size)


def repeating(size: int, fewer: int) -> Matrix:
    """The (size, fewer) matrix that enlarges a line of pixels into squares: each new one is the one that it lies in."""
    matrix = np.zeros((size, fewer))
    matrix[np.arange(size), (2 * np.arange(size) + 1) * fewer // (2 * size)] = 1
    return matrix


def zooming(size: int, factor: float) -> Matrix:
    """The (size, size) matrix that enlarges a line of pixels from its middle."""
    middle = (size - 1) / 2
    steps: NDArray[np.float64] = np.arange(size, dtype=np.float64) - middle
    return between(size, middle + steps / factor)


def between(size: int, at: NDArray[np.float64]) -> Matrix:
    """The (k, size) matrix that reads a line of pixels at k places, between pixels in proportion, within its ends."""
    inside = np.clip(at, 0, size - 1)
    lower = np.minimum(inside.astype(np.int64), max(0, size - 2))
    rows, matrix = np.arange(len(at)), np.zeros((len(at), size))
    matrix[rows, lower] = 1 - (inside - lower)
    matrix[rows, np.minimum(lower + 1, size - 1)] += inside - lower
    return matrix


def convolved(images: Images, kernels: NDArray[np.float64]) -> Images:
    """Each image with its kernel, (n, k, k) or one for all (1, k, k) with k odd; edges are mirrored."""
    r = kernels.shape[1] // 2
    padded = np.pad(images, ((0, 0), (r, r), (r, r), (0, 0)), mode="symmetric")
    shape = padded.shape[1:3]
    spectrum = np.fft.rfft2(kernels, shape)[..., None] * np.fft.rfft2(padded, axes=(1, 2))
    return np.asarray(np.fft.irfft2(spectrum, shape, axes=(1, 2))[:, 2 * r :, 2 * r :])


def disc(radius: float, softness: float) -> NDArray[np.float64]:
    """The kernel (1, k, k) of a lens out of focus: an even disc whose edge is blurred by `softness` pixels."""
    r = int(np.ceil(radius)) + 1
    fine = (np.arange(-r * 5 - 2, r * 5 + 3)) / 5
    inside = (fine[:, None] ** 2 + fine**2 <= max(radius, 0.5) ** 2).astype(np.float64)
    size = 2 * r + 1
    kernel = inside.reshape(size, 5, size, 5).mean(axis=(1, 3))
    blur = smoothing(size, softness)
    kernel = blur @ kernel @ blur.T
    return np.asarray((kernel / kernel.sum())[None])


def streak(degrees: NDArray[np.float64], length: float, sigma: float) -> NDArray[np.float64]:
    """A kernel (n, k, k) for each direction: what moves leaves a trail of `length` that fades with `sigma`."""
    r = int(np.ceil(length)) + 1
    steps = np.arange(0, length + 1e-9, 0.25)
    weights = np.exp(-0.5 * (steps / max(sigma, 1e-9)) ** 2)
    turn = np.deg2rad(degrees)[:, None]
    kernels = np.zeros((len(degrees), 2 * r + 1, 2 * r + 1))
    _splat(kernels, r + steps * np.sin(turn), r + steps * np.cos(turn), weights / weights.sum())
    return kernels


def displaced(images: Images, down: NDArray[np.float64], across: NDArray[np.float64]) -> Images:
    """Each pixel taken from where it points to, (n, h, w) pixels further down and across, between pixels in proportion.

    Where that is outside, the edge is taken.
    """
    n, h, w, _ = images.shape
    y = np.clip(np.arange(h)[:, None] + down, 0, h - 1)
    x = np.clip(np.arange(w) + across, 0, w - 1)
    top, left = np.minimum(y.astype(np.int64), max(0, h - 2)), np.minimum(x.astype(np.int64), max(0, w - 2))
    dy, dx = (y - top)[..., None], (x - left)[..., None]
    below, right, which = np.minimum(top + 1, h - 1), np.minimum(left + 1, w - 1), np.arange(n)[:, None, None]
    upper = images[which, top, left] * (1 - dx) + images[which, top, right] * dx
    lower = images[which, below, left] * (1 - dx) + images[which, below, right] * dx
    return np.asarray(upper * (1 - dy) + lower * dy)


def _splat(
    kernels: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64], weights: NDArray[np.float64]
) -> None:
    """Add points between pixels to kernels, each shared among the four pixels around it."""
    top, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    which = np.broadcast_to(np.arange(len(kernels))[:, None], y.shape)
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - (y - top)) * np.abs(1 - right - (x - left))
            np.add.at(kernels, (which, top + down, left + right), weights * share)
