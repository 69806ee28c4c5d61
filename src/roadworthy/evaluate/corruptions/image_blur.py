"""Image blur: the lens is out of focus, the glass frosted, or the camera moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.images.image_filters import along, convolved, disc, displaced, smooth, streak, zooming
from roadworthy.evaluate.images.pixels import Images, at_level, reach, spoil_images
from roadworthy.evaluate.spoiling import check_form


@corruption("image_blur")
@dataclass(frozen=True)
class ImageBlur:
    """Blurred images, by `form`: one of the five blurs of ImageNet-C (Hendrycks & Dietterich 2019).

    Strengths are those of 224 pixels, made smaller with the image down to 32 pixels and to what CIFAR-10-C takes for
    those. Glass scatters each pixel at
    random instead of exchanging pairs one by one, which is the same to the eye and done for all images at once.
    """

    form: Literal["gaussian", "defocus", "glass", "motion", "zoom"] = "gaussian"
    columns: tuple[str, ...] = ()
    called: str = ""

    def __post_init__(self) -> None:
        check_form(self.form, _FORMS)

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        if severity == 0:
            return sample
        return spoil_images(sample, self.columns, lambda images: _FORMS[self.form](images, severity, rng))


def _gaussian(images: Images, severity: float, rng: np.random.Generator) -> Images:
    wide, least = at_level(severity, 0.0, (1, 2, 3, 4, 6)), at_level(severity, 0.0, (0.4, 0.6, 0.7, 0.8, 1.0))
    return smooth(images, max(reach(images, wide), least))


def _defocus(images: Images, severity: float, rng: np.random.Generator) -> Images:
    radius = reach(images, at_level(severity, 0.0, (3, 4, 6, 8, 10)))
    softness = at_level(severity, 0.0, (0.4, 0.5, 0.5, 0.5, 0.5))
    return convolved(images, disc(radius, softness))


def _glass(images: Images, severity: float, rng: np.random.Generator) -> Images:
    blur = reach(images, at_level(severity, 0.0, (0.7, 0.9, 1.0, 1.1, 1.5)))
    far = max(reach(images, at_level(severity, 0.0, (1.4, 2, 3, 4, 5.5))), 1.2 * severity)
    moves = rng.uniform(-far, far, (2, *images.shape[:3]))
    return smooth(displaced(smooth(images, blur), moves[0], moves[1]), blur)


def _motion(images: Images, severity: float, rng: np.random.Generator) -> Images:
    length = reach(images, at_level(severity, 0.0, (10, 15, 15, 15, 20)))
    fading = reach(images, at_level(severity, 0.0, (3, 5, 8, 12, 15)))
    return convolved(images, streak(rng.uniform(-45, 45, len(images)), length, fading))


def _zoom(images: Images, severity: float, rng: np.random.Generator) -> Images:
    most, (h, w) = at_level(severity, 1.0, (1.11, 1.16, 1.21, 1.26, 1.31)), images.shape[1:3]
    factors = np.linspace(1, most, 8)
    return np.asarray(sum(along(images, zooming(h, f), zooming(w, f)) for f in factors) / len(factors))


_FORMS = {"gaussian": _gaussian, "defocus": _defocus, "glass": _glass, "motion": _motion, "zoom": _zoom}
