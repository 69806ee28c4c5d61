from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.corruptions.image_weather import ImageWeather


def weather(form: str, colour: tuple[float, ...], severity: float) -> np.ndarray:
    """A dozen of even images of a colour, after the weather: (n, h, w, c)."""
    image = np.broadcast_to(np.array(colour), (12, 32, 32, len(colour)))
    field = Field("image", shape=image.shape[1:], low=0, high=1)
    made = ImageWeather(form)  # type: ignore[arg-type]
    sample = Sample({"seen": image.reshape(12, -1)}, fields={"seen": field})
    return made(sample, severity, np.random.default_rng(0)).columns["seen"].reshape(image.shape)


def test_brightness_keeps_the_hue() -> None:
    found = weather("brightness", (0.2, 0.4, 0.1), 0.4)[0, 0, 0]
    np.testing.assert_allclose(found, [0.3, 0.6, 0.15])
    np.testing.assert_allclose(weather("brightness", (0.0, 0.0, 0.0), 0.4)[0, 0, 0], 0.2)


@pytest.mark.parametrize("form", ["snow", "frost"])
def test_snow_and_frost_make_the_dark_lighter(form: str) -> None:
    assert weather(form, (0.1, 0.1, 0.1), 0.4).mean() > 0.12
    assert (weather(form, (0.1, 0.1, 0.1), 0.4) >= 0.1 - 1e-9).mean() > 0.99


def test_fog_is_no_brighter_than_the_scene_and_takes_its_contrast() -> None:
    image = np.linspace(0, 0.8, 32 * 32).reshape(1, -1)
    sample = Sample({"seen": image}, fields={"seen": Field("image", shape=(32, 32), low=0, high=1)})
    found = ImageWeather("fog")(sample, 1.0, np.random.default_rng(0)).columns["seen"]
    assert found.max() <= 0.8
    assert abs(np.corrcoef(found, image)[0, 1]) < 0.8


def test_frost_is_bluish_and_mud_is_brown() -> None:
    frost, mud = (weather(form, (0.5, 0.5, 0.5), 1.0).mean(axis=(0, 1, 2)) for form in ("frost", "spatter"))
    assert frost[2] > frost[0]
    assert mud[0] > weather("spatter", (0.5, 0.5, 0.5), 0.6).mean(axis=(0, 1, 2))[0] - 0.2
    assert weather("spatter", (0.5, 0.5, 0.5), 1.0).min() < 0.1


def test_water_alone_only_shines() -> None:
    assert weather("spatter", (0.5, 0.5, 0.5), 0.6).min() >= 0.5


def test_no_two_images_have_the_same_snow() -> None:
    found = weather("snow", (0.1,), 0.6)
    assert not np.array_equal(found[0], found[1])
