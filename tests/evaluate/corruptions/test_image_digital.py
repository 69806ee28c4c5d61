from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.corruptions.image_digital import ImageDigital


def processed(form: str, image: np.ndarray, severity: float) -> np.ndarray:
    field = Field("image", shape=image.shape, low=0, high=1)
    made = ImageDigital(form)  # type: ignore[arg-type]
    sample = Sample({"seen": image.reshape(1, -1)}, fields={"seen": field})
    return made(sample, severity, np.random.default_rng(0)).columns["seen"].reshape(image.shape)


def test_contrast_shrinks_towards_the_mean_of_each_channel() -> None:
    image = np.random.default_rng(0).random((9, 9, 3))
    found = processed("contrast", image, 0.2)
    np.testing.assert_allclose(found.mean(axis=(0, 1)), image.mean(axis=(0, 1)))
    np.testing.assert_allclose(found.std(axis=(0, 1)), 0.4 * image.std(axis=(0, 1)))


def test_pixelate_leaves_so_many_values() -> None:
    image = np.random.default_rng(0).random((20, 10))
    found = processed("pixelate", image, 0.4)
    assert len(np.unique(found.round(9))) == 10 * 5
    np.testing.assert_allclose(found[:2, :2], image[:2, :2].mean())


def test_saturation_keeps_the_brightest_channel_and_darkens_the_others() -> None:
    image = np.full((2, 2, 3), [0.8, 0.6, 0.7])
    np.testing.assert_allclose(processed("saturate", image, 0.4)[0, 0], [0.8, 0.4, 0.6])
    np.testing.assert_allclose(processed("saturate", image, 1.0)[0, 0], [0.8, 0.0, 0.4])


def test_saturation_leaves_grey_black_and_white_alone() -> None:
    for level in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(processed("saturate", np.full((2, 2, 3), level), 1.0), level)


def test_elastic_bends_a_line_and_keeps_its_ink() -> None:
    image = np.zeros((64, 64))
    image[30:34] = 1
    found = processed("elastic", image, 0.4)
    assert found.sum() == pytest.approx(image.sum(), rel=0.25)
    places = (found * np.arange(64)[:, None]).sum(axis=0) / found.sum(axis=0)
    assert 0.5 < places.std() < 2


def test_jpeg_shows_its_blocks() -> None:
    y, x = np.mgrid[0:32, 0:32] / 32
    steps = np.abs(np.diff(processed("jpeg", 0.3 + 0.4 * x * y, 1.0), axis=1)).mean(axis=0)
    borders = np.arange(7, 31, 8)
    assert steps[borders].min() > 3 * np.delete(steps, borders).max()
