"""Image digital: what software does to images between the camera and the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.images.image_filters import along, averaging, displaced, repeating, smooth
from roadworthy.evaluate.images.image_jpeg import jpeg
from roadworthy.evaluate.images.pixels import Images, at_level, reach, spoil_images
from roadworthy.evaluate.spoiling import check_form


@corruption("image_digital")
@dataclass(frozen=True)
class ImageDigital:
    """Processed images, by `form`: the five digital kinds of ImageNet-C (Hendrycks & Dietterich 2019).

    "saturate" only ever strengthens colours, where the original first pales them, so that more severity is more
    change; grey images have none to strengthen and stay. "elastic" bends every image by smooth waves of its own.
    """

    form: Literal["contrast", "elastic", "pixelate", "jpeg", "saturate"] = "contrast"
    columns: tuple[str, ...] = ()
    called: str = ""

    def __post_init__(self) -> None:
        check_form(self.form, _FORMS)

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        if severity == 0:
            return sample
        return spoil_images(sample, self.columns, lambda images: _FORMS[self.form](images, severity, rng))


def _contrast(images: Images, severity: float, rng: np.random.Generator) -> Images:
    left = at_level(severity, 1.0, (0.4, 0.3, 0.2, 0.1, 0.05))
    mean = images.mean(axis=(1, 2), keepdims=True)
    return np.asarray(mean + left * (images - mean))


def _elastic(images: Images, severity: float, rng: np.random.Generator) -> Images:
    pixels = reach(images, at_level(severity, 0.0, (2, 3, 4, 5.5, 8)))
    waves = smooth(rng.uniform(-1, 1, (*images.shape[:3], 2)), reach(images, 7))
    waves *= pixels / (waves.std(axis=(1, 2), keepdims=True) + 1e-12)
    return displaced(images, waves[..., 0], waves[..., 1])


def _pixelate(images: Images, severity: float, rng: np.random.Generator) -> Images:
    scale, (h, w) = at_level(severity, 1.0, (0.6, 0.5, 0.4, 0.3, 0.25)), images.shape[1:3]
    fewer = max(1, round(h * scale)), max(1, round(w * scale))
    squares = along(images, averaging(h, fewer[0]), averaging(w, fewer[1]))
    return along(squares, repeating(h, fewer[0]), repeating(w, fewer[1]))


def _jpeg(images: Images, severity: float, rng: np.random.Generator) -> Images:
    return jpeg(images, at_level(severity, 95.0, (25, 18, 15, 10, 7)))


def _saturate(images: Images, severity: float, rng: np.random.Generator) -> Images:
    more, added = at_level(severity, 1.0, (1.5, 2, 3, 5, 20)), at_level(severity, 0.0, (0, 0, 0, 0.1, 0.2))
    value, least = images.max(axis=3, keepdims=True), images.min(axis=3, keepdims=True)
    coloured = value > least
    old = np.where(coloured, (value - least) / np.where(value > 0, value, 1.0), 1.0)
    new = np.where(coloured, np.minimum(old * more + added, 1.0), 1.0)
    return np.asarray(value - (value - images) * new / old)


_FORMS = {"contrast": _contrast, "elastic": _elastic, "pixelate": _pixelate, "jpeg": _jpeg, "saturate": _saturate}
