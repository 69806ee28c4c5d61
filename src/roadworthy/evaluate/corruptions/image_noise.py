"""Image noise: a dark scene, a cheap sensor or a bad line puts grain on images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.images.pixels import Images, at_level, spoil_images
from roadworthy.evaluate.spoiling import check_form


@corruption("image_noise")
@dataclass(frozen=True)
class ImageNoise:
    """Grain on images, by `form`: one of the four kinds of noise of ImageNet-C (Hendrycks & Dietterich 2019).

    "gaussian" is a sensor in the dark, "shot" too few photons, "impulse" pixels lost to black or white, "speckle"
    grain that grows with the light.
    """

    form: Literal["gaussian", "shot", "impulse", "speckle"] = "gaussian"
    columns: tuple[str, ...] = ()
    called: str = ""

    def __post_init__(self) -> None:
        check_form(self.form, _FORMS)

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        if severity == 0:
            return sample
        return spoil_images(sample, self.columns, lambda images: _FORMS[self.form](images, severity, rng))


def _gaussian(images: Images, severity: float, rng: np.random.Generator) -> Images:
    deviation = at_level(severity, 0.0, (0.08, 0.12, 0.18, 0.26, 0.38))
    return np.asarray(images + deviation * rng.standard_normal(images.shape))


def _shot(images: Images, severity: float, rng: np.random.Generator) -> Images:
    photons = 1 / at_level(severity, 0.0, (1 / 60, 1 / 25, 1 / 12, 1 / 5, 1 / 3))
    return np.asarray(rng.poisson(images * photons) / photons)


def _impulse(images: Images, severity: float, rng: np.random.Generator) -> Images:
    share = at_level(severity, 0.0, (0.03, 0.06, 0.09, 0.17, 0.27))
    drawn = rng.random(images.shape)
    return np.where(drawn < share / 2, 0.0, np.where(drawn < share, 1.0, images))


def _speckle(images: Images, severity: float, rng: np.random.Generator) -> Images:
    deviation = at_level(severity, 0.0, (0.15, 0.2, 0.35, 0.45, 0.6))
    return np.asarray(images * (1 + deviation * rng.standard_normal(images.shape)))


_FORMS = {"gaussian": _gaussian, "shot": _shot, "impulse": _impulse, "speckle": _speckle}
