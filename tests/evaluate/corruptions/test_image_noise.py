from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.corruptions.image_noise import ImageNoise


def grain(form: str, level: float, severity: float) -> np.ndarray:
    """What is added to even images of a level between 0 and 1."""
    sample = Sample(
        {"seen": np.full((40, 1024), level)}, fields={"seen": Field("image", shape=(32, 32), low=0, high=1)}
    )
    made = ImageNoise(form)  # type: ignore[arg-type]
    return made(sample, severity, np.random.default_rng(0)).columns["seen"] - level


@pytest.mark.parametrize(("severity", "deviation"), [(0.2, 0.08), (0.4, 0.12), (0.3, 0.1)])
def test_gaussian_noise_has_the_deviation_of_the_standard(severity: float, deviation: float) -> None:
    assert grain("gaussian", 0.5, severity).std() == pytest.approx(deviation, rel=0.02)


def test_shot_noise_has_the_spread_of_so_many_photons() -> None:
    assert grain("shot", 0.4, 0.2).std() == pytest.approx((0.4 / 60) ** 0.5, rel=0.03)
    assert not grain("shot", 0.0, 1.0).any()


def test_impulses_are_black_and_white_in_equal_numbers() -> None:
    found = grain("impulse", 0.5, 1.0)
    assert (found == 0.5).mean() == pytest.approx(0.135, abs=0.01)
    assert (found == -0.5).mean() == pytest.approx(0.135, abs=0.01)
    assert (found == 0).mean() == pytest.approx(0.73, abs=0.01)


def test_speckle_grows_with_the_light() -> None:
    assert grain("speckle", 0.1, 0.2).std() == pytest.approx(0.015, rel=0.03)
    assert grain("speckle", 0.4, 0.2).std() == pytest.approx(0.06, rel=0.03)
