from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.corruptions.image_blur import ImageBlur

FORMS = ("gaussian", "defocus", "glass", "motion", "zoom")


def blurred(form: str, image: np.ndarray, severity: float = 1.0, seed: int = 0) -> np.ndarray:
    field = Field("image", shape=image.shape, low=0, high=1)
    made = ImageBlur(form)  # type: ignore[arg-type]
    spoilt = made(Sample({"seen": image.reshape(1, -1)}, fields={"seen": field}), severity, np.random.default_rng(seed))
    return spoilt.columns["seen"].reshape(image.shape)


def point() -> np.ndarray:
    image = np.zeros((33, 33))
    image[16, 16] = 1
    return image


@pytest.mark.parametrize("form", FORMS)
def test_an_even_image_has_nothing_to_blur(form: str) -> None:
    np.testing.assert_allclose(blurred(form, np.full((16, 16), 0.4)), 0.4)


@pytest.mark.parametrize("form", ["gaussian", "defocus", "motion"])
def test_light_is_spread_and_not_lost(form: str) -> None:
    found = blurred(form, point())
    assert found.sum() == pytest.approx(1)
    assert found.max() < 0.5


def test_a_lens_spreads_alike_in_all_directions_and_motion_in_one() -> None:
    def spreads(form: str) -> list[float]:
        found = blurred(form, point())
        y, x = np.mgrid[0:33, 0:33]
        down, across = y - (found * y).sum(), x - (found * x).sum()
        covariance = [[(found * a * b).sum() for a in (down, across)] for b in (down, across)]
        return sorted(np.linalg.eigvalsh(covariance))

    for form in ("gaussian", "defocus"):
        narrow, wide = spreads(form)
        assert narrow == pytest.approx(wide, rel=0.01)
    narrow, wide = spreads("motion")
    assert wide > 3 * narrow


def test_zoom_leaves_the_middle_sharp() -> None:
    image = np.indices((33, 33)).sum(axis=0) % 2.0
    moved = np.abs(blurred("zoom", image) - image)
    assert moved[15:18, 15:18].mean() < 0.5 * moved.mean()


def test_two_images_move_in_two_directions() -> None:
    assert np.abs(blurred("motion", point(), seed=1) - blurred("motion", point(), seed=2)).max() > 0.05
