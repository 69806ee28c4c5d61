from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from roadworthy.evaluate.images.image_filters import (
    along,
    averaging,
    convolved,
    disc,
    displaced,
    repeating,
    smooth,
    streak,
    zooming,
)

IMAGES = np.random.default_rng(0).random((3, 11, 9, 2))


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5, 6.0])
def test_smoothing_is_that_of_scipy(sigma: float) -> None:
    expected = ndimage.gaussian_filter(IMAGES, (0, sigma, sigma, 0), mode="reflect")
    np.testing.assert_allclose(smooth(IMAGES, sigma), expected, atol=1e-9)


def test_smoothing_by_nothing_is_nothing() -> None:
    np.testing.assert_allclose(smooth(IMAGES, 0.0), IMAGES)


def test_convolution_is_that_of_scipy_with_a_kernel_for_each_image() -> None:
    kernels = np.random.default_rng(1).random((3, 5, 5))
    found = convolved(IMAGES, kernels)
    for image, kernel, ours in zip(IMAGES, kernels, found, strict=True):
        for channel in range(2):
            expected = ndimage.convolve(image[..., channel], kernel, mode="reflect")
            np.testing.assert_allclose(ours[..., channel], expected, atol=1e-9)


def test_displacement_is_that_of_scipy() -> None:
    moves = np.random.default_rng(2).uniform(-4, 4, (2, 3, 11, 9))
    found = displaced(IMAGES, moves[0], moves[1])
    y, x = np.mgrid[0:11, 0:9]
    for at in range(3):
        places = [y + moves[0, at], x + moves[1, at]]
        expected = ndimage.map_coordinates(IMAGES[at, ..., 1], places, order=1, mode="nearest")
        np.testing.assert_allclose(found[at, ..., 1], expected, atol=1e-9)


def test_a_disc_is_even_inside_and_empty_outside() -> None:
    kernel = disc(4.0, 0.0)[0]
    assert kernel.sum() == pytest.approx(1)
    assert kernel[5, 5] == pytest.approx(kernel[5, 7])
    assert kernel[5, 5] == pytest.approx(1 / (np.pi * 16), rel=0.02)
    assert kernel[0, 0] == 0


def test_a_wider_disc_blurs_more() -> None:
    left = [convolved(IMAGES, disc(radius, 0.5)).std() for radius in (0.2, 0.8, 1.5, 3.0)]
    assert left == sorted(left, reverse=True)


def test_a_streak_points_where_it_is_told() -> None:
    right, down = streak(np.array([0.0, 90.0]), 4.0, 100.0)
    np.testing.assert_allclose([right.sum(), down.sum()], 1)
    assert (right[5, 5:10] > 0.05).all()
    assert (down[5:10, 5] > 0.05).all()
    assert right[5, :4].sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("degrees", [10.0, 37.0, 200.0])
def test_a_streak_between_pixels_has_its_middle_where_it_should(degrees: float) -> None:
    kernel = streak(np.array([degrees]), 4.0, 1e9)[0]
    y, x = np.mgrid[-5:6, -5:6]
    middle = [(kernel * y).sum(), (kernel * x).sum()]
    np.testing.assert_allclose(middle, [2 * np.sin(np.deg2rad(degrees)), 2 * np.cos(np.deg2rad(degrees))], atol=1e-9)


def test_shrinking_takes_means_even_of_parts_of_pixels() -> None:
    np.testing.assert_allclose(averaging(4, 2) @ [1, 3, 5, 7], [2, 6])
    np.testing.assert_allclose(averaging(3, 2) @ [3, 6, 9], [4, 8])


def test_enlarging_repeats_what_each_pixel_lies_in() -> None:
    assert (repeating(5, 2) @ [1, 2]).tolist() == [1, 1, 2, 2, 2]
    assert (repeating(6, 3) @ [1, 2, 3]).tolist() == [1, 1, 2, 2, 3, 3]
    assert (repeating(1, 1) @ [7]).tolist() == [7]


def test_zooming_by_two_keeps_the_middle_half() -> None:
    np.testing.assert_allclose(zooming(5, 2.0) @ [0, 1, 2, 3, 4], [1, 1.5, 2, 2.5, 3])
    np.testing.assert_allclose(zooming(4, 1.0), np.eye(4))


def test_rows_and_columns_have_their_own_matrices() -> None:
    found = along(IMAGES, averaging(11, 1), averaging(9, 1))
    np.testing.assert_allclose(found[:, 0, 0], IMAGES.mean(axis=(1, 2)))
