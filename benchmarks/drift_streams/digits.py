"""Shifts of sklearn's digits, as in "Failing Loudly" (Rabanser et al. 2019): who finds which, at how many rows?"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import binomial_survival, proportion
from roadworthy.core.window import Window
from roadworthy.observe.detectors.classifier import Classifier
from roadworthy.observe.detectors.outputs import Outputs
from roadworthy.observe.detectors.projections import Projections
from roadworthy.observe.drift.two_sample import compared, judged

Images = NDArray[np.float64]
ALPHA = 0.05
SIZES = (100, 400)
Detector = Callable[[Window, Window], Verdict]


def each_pixel(reference: Window, current: Window) -> Verdict:
    """Kolmogorov-Smirnov on each input: what the paper calls no reduction."""
    pixels = [name for name, values in reference.inputs.items() if values.ndim == 1]
    found = [m for name in pixels for m in compared(name, reference.inputs[name], current.inputs[name])]
    return judged(found, ALPHA, 0.0, "pixels", "pixels")


PIXELS = tuple(f"p{k}" for k in range(64))
DETECTORS: dict[str, Detector] = {
    "outputs (BBSD)": Outputs(alpha=ALPHA, least=0.0),
    "classifier": Classifier(alpha=ALPHA, least=0.5),
    "projections": Projections(alpha=ALPHA, least=0.0),
    "each pixel, KS": each_pixel,
}


def same(images: Images, labels: NDArray[Any], rng: np.random.Generator) -> tuple[Images, NDArray[Any]]:
    return images, labels


def noise(images: Images, labels: NDArray[Any], rng: np.random.Generator) -> tuple[Images, NDArray[Any]]:
    return images + 1.6 * rng.normal(size=images.shape), labels


def noise_on_half(images: Images, labels: NDArray[Any], rng: np.random.Generator) -> tuple[Images, NDArray[Any]]:
    return images + 4.0 * rng.normal(size=images.shape) * (rng.random(len(images)) < 0.5)[:, None], labels


def moved_on_half(images: Images, labels: NDArray[Any], rng: np.random.Generator) -> tuple[Images, NDArray[Any]]:
    moved = np.roll(images.reshape(-1, 8, 8), 1, axis=2).reshape(images.shape)
    return np.where((rng.random(len(images)) < 0.5)[:, None], moved, images), labels


def without_noughts(images: Images, labels: NDArray[Any], rng: np.random.Generator) -> tuple[Images, NDArray[Any]]:
    return images[labels != 0], labels[labels != 0]


SHIFTS = {
    "no shift": same,
    "noise, sd 0.1 of the range": noise,
    "noise, sd 0.25, on half": noise_on_half,
    "one pixel aside, on half": moved_on_half,
    "the class 0 left out": without_noughts,
}


@cache
def model() -> tuple[Any, Images, NDArray[Any]]:
    """A classifier of a third of the digits, and the others."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    images, labels = found.data[order].astype(np.float64), found.target[order]
    fitted = LogisticRegression(C=0.1, max_iter=3000).fit(images[:500], labels[:500])
    return fitted, images[500:], labels[500:]


def window(images: Images) -> Window:
    """Pixels as columns and as one vector, and what the model says."""
    columns = {name: images[:, k] for k, name in enumerate(PIXELS)}
    at = np.zeros(len(images))
    return Window({**columns, "image": images}, {"p": model()[0].predict_proba(images)}, at * np.nan, at)


def found_shifts(draws: int) -> tuple[list[Measurement], bool]:
    """The share of draws in which each detector finds each shift; and is none of them too often wrong?"""
    _, images, labels = model()
    found, kept = [], True
    print(f"\n{'digits: share of draws found':38}" + "".join(f"{name:>18}" for name in DETECTORS))
    for shift, change in SHIFTS.items():
        for n in SIZES:
            hits = dict.fromkeys(DETECTORS, 0)
            for draw in range(draws):
                rng = np.random.default_rng(draw)
                rows = rng.permutation(len(images))
                # A new sample from the half that the reference does not have.
                later, _ = change(images[rows[600:]], labels[rows[600:]], rng)
                old, new = window(images[rows[:600]]), window(later[:n])
                for name, detector in DETECTORS.items():
                    hits[name] += detector(old, new).decision == "fail"
            print(f"{shift + f', n={n}':38}" + "".join(f"{hits[name] / draws:18.2f}" for name in DETECTORS))
            for name, count in hits.items():
                found.append(proportion("shift_found", count, draws, where=f"{shift}, n={n}, {name}"))
                kept &= shift != "no shift" or binomial_survival(count, draws, ALPHA) > 1e-4
    by_name = {m.where: m.value for m in found}
    kept &= by_name["the class 0 left out, n=400, outputs (BBSD)"] >= 0.9
    return found, kept
