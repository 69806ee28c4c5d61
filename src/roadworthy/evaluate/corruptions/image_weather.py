"""Image weather: snow, frost, fog, splashes or glare stand between the camera and the scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.images.image_textures import clouds, crystals, drops, flakes
from roadworthy.evaluate.images.pixels import Images, at_level, luma, reach, spoil_images, tinted
from roadworthy.evaluate.spoiling import check_form


@corruption("image_weather")
@dataclass(frozen=True)
class ImageWeather:
    """Weather on images, by `form`: the five of ImageNet-C (Hendrycks & Dietterich 2019), textures made up here.

    Frost is grown instead of photographed; "spatter" is water alone up to severity 0.6, and then mud too.
    """

    form: Literal["snow", "frost", "fog", "spatter", "brightness"] = "fog"
    columns: tuple[str, ...] = ()
    called: str = ""

    def __post_init__(self) -> None:
        check_form(self.form, _FORMS)

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        if severity == 0:
            return sample
        return spoil_images(sample, self.columns, lambda images: _FORMS[self.form](images, severity, rng))


def _snow(images: Images, severity: float, rng: np.random.Generator) -> Images:
    share = at_level(severity, 0.0, (0.008, 0.012, 0.02, 0.03, 0.045))
    faded = at_level(severity, 1.0, (0.8, 0.75, 0.7, 0.65, 0.55))
    falling = flakes(images.shape, share, reach(images, 10), rng)[..., None]
    pale = np.maximum(images, luma(images) * 1.5 + 0.5)
    return np.asarray(faded * images + (1 - faded) * pale + falling * min(1.0, 5 * severity))


def _frost(images: Images, severity: float, rng: np.random.Generator) -> Images:
    ice = at_level(severity, 0.0, (0.5, 0.7, 0.8, 0.9, 1.0)) * crystals(images.shape, rng)[..., None]
    return np.asarray((1 - ice) * images + ice * tinted(images, 0.85, 0.95, 1.0))


def _fog(images: Images, severity: float, rng: np.random.Generator) -> Images:
    thick = at_level(severity, 0.0, (1.5, 2.0, 2.5, 2.75, 3.0))
    rough = at_level(severity, 2.0, (2.0, 2.0, 1.7, 1.5, 1.4))
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    foggy = images + thick * clouds(images.shape, rough, rng)[..., None]
    return np.asarray(foggy * brightest / (brightest + thick))


def _spatter(images: Images, severity: float, rng: np.random.Generator) -> Images:
    water = at_level(severity, 0.0, (0.08, 0.14, 0.2, 0.25, 0.3))
    mud = at_level(severity, 0.0, (0.0, 0.0, 0.0, 0.08, 0.16))
    size = reach(images, 4)
    wet = drops(images.shape, water, size, rng)[..., None]
    dirt = drops(images.shape, mud, size, rng)[..., None]
    shining = np.minimum(images + 0.6 * wet * tinted(images, 175 / 255, 238 / 255, 238 / 255), 1.0)
    return np.asarray((1 - dirt) * shining + dirt * tinted(images, 63 / 255, 42 / 255, 20 / 255))


def _brightness(images: Images, severity: float, rng: np.random.Generator) -> Images:
    more = at_level(severity, 0.0, (0.1, 0.2, 0.3, 0.4, 0.5))
    value = images.max(axis=3, keepdims=True)
    # The value of a colour grows, its hue and saturation stay; black has neither and becomes grey.
    return np.where(value > 0, images * np.minimum(value + more, 1.0) / np.where(value > 0, value, 1.0), more)


_FORMS = {"snow": _snow, "frost": _frost, "fog": _fog, "spatter": _spatter, "brightness": _brightness}
