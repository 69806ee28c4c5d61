from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from roadworthy.evaluate.images.image_jpeg import jpeg

Y, X = np.mgrid[0:24, 0:40] / 24
SMOOTH = np.stack([0.5 + 0.4 * np.sin(3 * X), 0.5 + 0.4 * np.cos(2 * Y), 0.3 + 0.3 * X * Y], axis=-1)[None]
GREY = SMOOTH[..., :1]


def test_an_8_by_8_block_is_rounded_as_scipy_transforms_it() -> None:
    block = np.rint(np.random.default_rng(0).random((8, 8)) * 255)
    # At quality 50 the tables are taken as they are; the first row of the one for brightness is known by heart.
    steps = np.array([16, 11, 10, 16, 24, 40, 51, 61])
    coefficients = fft.dctn(jpeg(block[None, ..., None] / 255, 50)[0, ..., 0] * 255 - 128, norm="ortho")
    np.testing.assert_allclose(coefficients[0] / steps, np.rint(coefficients[0] / steps), atol=1e-6)
    kept = np.rint(fft.dctn(block - 128, norm="ortho")[0] / steps)
    np.testing.assert_allclose(coefficients[0] / steps, kept, atol=1e-6)


@pytest.mark.parametrize("images", [GREY, SMOOTH], ids=["grey", "colour"])
def test_a_lower_quality_loses_more(images: np.ndarray) -> None:
    lost = [np.abs(jpeg(images, quality) - images).mean() for quality in (95, 75, 25, 10, 3)]
    assert lost == sorted(lost)
    assert lost[0] < 0.011
    assert lost[-1] > 0.02


def test_odd_sizes_come_back_in_their_size() -> None:
    for shape in ((2, 8, 8, 1), (1, 13, 9, 3), (1, 1, 1, 3)):
        assert jpeg(np.full(shape, 0.5), 10).shape == shape


def test_even_images_stay_even() -> None:
    for level in (0.0, 0.5, 1.0):
        found = jpeg(np.full((1, 16, 16, 3), level), 7)
        assert np.ptp(found) < 0.03
        assert found.mean() == pytest.approx(level, abs=0.08)


@pytest.mark.parametrize(
    ("quality", "grey", "colour"), [(90, 0.00464, 0.00926), (25, 0.01834, 0.02308), (10, 0.03659, 0.04834)]
)
def test_as_much_is_lost_as_by_libjpeg(quality: int, grey: float, colour: float) -> None:
    # What Pillow 13 (libjpeg-turbo) loses of the same pixels; it is no dependency, so its figures stand here.
    pixels = np.rint(255 * np.clip(SMOOTH + 0.2 * np.sin(25 * X + 9 * Y)[..., None], 0, 1)) / 255
    for images, theirs in ((pixels[..., :1], grey), (pixels, colour)):
        lost = np.abs(np.clip(jpeg(images, quality), 0, 1) - images).mean()
        assert lost == pytest.approx(theirs, rel=0.04)
