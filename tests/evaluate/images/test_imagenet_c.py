from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from roadworthy.core.catalog import write_plan
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.base import Corruption, corruption
from roadworthy.evaluate.corruptions.image_blur import ImageBlur
from roadworthy.evaluate.corruptions.image_digital import ImageDigital
from roadworthy.evaluate.corruptions.image_noise import ImageNoise
from roadworthy.evaluate.corruptions.image_weather import ImageWeather
from roadworthy.evaluate.images.imagenet_c import BENCHMARK, EXTRA, STANDARD
from roadworthy.evaluate.spoils import called
from roadworthy.testing.corruptions import (
    check_identity,
    check_only_inputs,
    check_pure,
    check_same_seed,
    mixed_sample,
)
from roadworthy.testing.leaves import check_no_global_chance

LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)
NAMES = [called(kind) for kind in STANDARD]
every_kind = pytest.mark.parametrize("kind", STANDARD, ids=NAMES)


def scenes(shape: tuple[int, ...], n: int = 6, low: float = 0.0, high: float = 255.0) -> Sample:
    """Coloured waves with a dark square: smooth parts, edges and full colours."""
    h, w, c = (*shape, 1)[:3]
    y, x = np.mgrid[0:h, 0:w] / max(h, w)
    waves = [0.5 + 0.5 * np.sin(2 * np.pi * (f * x + g * y)) for f, g in ((1, 2), (3, 1), (2, 4), (2, 1))]
    images = np.stack([np.roll(np.stack(waves[:c], -1), (5 * k, 3 * k), (0, 1)) for k in range(n)])
    images[:, h // 4 : h // 2, w // 4 : w // 2] *= 0.2
    field = Field("image", shape=shape, low=low, high=high)
    return Sample({"seen": low + (high - low) * images.reshape(n, -1)}, fields={"seen": field})


def spoilt(kind: Corruption, sample: Sample, severity: float, seed: int = 0) -> np.ndarray:
    return kind(sample, severity, np.random.default_rng(seed)).columns["seen"]


COLOURED = scenes((32, 32, 3))


def test_there_are_fifteen_and_four_and_each_has_a_name() -> None:
    assert (len(BENCHMARK), len(EXTRA), len(set(NAMES))) == (15, 4, 19)


def test_each_can_be_written_as_a_plan_and_made_again() -> None:
    assert [corruption.make(write_plan(kind)) for kind in STANDARD] == list(STANDARD)


@pytest.mark.parametrize("leaf", [ImageNoise, ImageBlur, ImageWeather, ImageDigital])
def test_an_unknown_form_is_refused(leaf: type) -> None:
    with pytest.raises(ValueError, match=r"`form` must be one of .*; got 'rain'"):
        leaf("rain")


@every_kind
def test_more_severity_is_more_distance(kind: Corruption) -> None:
    moved = [np.abs(spoilt(kind, COLOURED, level) - COLOURED.columns["seen"]).mean() / 255 for level in LEVELS]
    assert moved == sorted(moved)
    assert moved[0] > 0.001
    assert moved[-1] > 1.2 * moved[0]


@every_kind
def test_a_little_severity_is_a_little_distance(kind: Corruption) -> None:
    clean = COLOURED.columns["seen"]
    none, little, some = (np.abs(spoilt(kind, COLOURED, level) - clean).mean() for level in (0.0, 0.01, 0.2))
    assert none == 0
    # Fewer pixels and JPEG take something away as soon as they are used at all.
    assert little < (0.7 if called(kind) in ("pixelate", "jpeg compression") else 0.25) * some


@every_kind
def test_range_and_shape_are_kept_whatever_they_are(kind: Corruption) -> None:
    sample = scenes((8, 11, 3), low=-1, high=1)
    found = spoilt(kind, sample, 1.0)
    assert found.shape == sample.columns["seen"].shape
    assert found.min() >= -1
    assert found.max() <= 1
    assert (found != sample.columns["seen"]).any()


@every_kind
@pytest.mark.parametrize("shape", [(8, 8), (1, 9), (17, 8, 3), (8, 8, 4)])
def test_odd_shapes_are_taken(kind: Corruption, shape: tuple[int, ...]) -> None:
    assert np.isfinite(spoilt(kind, scenes(shape, 2), 1.0)).all()


@every_kind
def test_a_null_pixel_stays_one_and_spoils_no_other_image(kind: Corruption) -> None:
    sample = COLOURED.take(slice(0, 2))
    holed = sample.columns["seen"].copy()
    holed[0, 5] = np.nan
    found = spoilt(kind, replace(sample, columns={"seen": holed}), 0.6)
    assert np.argwhere(np.isnan(found)).tolist() == [[0, 5]]


@every_kind
def test_an_even_image_is_no_trouble(kind: Corruption) -> None:
    for value in (0.0, 255.0):
        sample = replace(COLOURED, columns={"seen": np.full((2, 32 * 32 * 3), value)})
        assert np.isfinite(spoilt(kind, sample, 1.0)).all()


@every_kind
def test_each_obeys_the_laws_of_corruptions(kind: Corruption) -> None:
    sample = mixed_sample(12)
    check_no_global_chance(kind, lambda: spoilt(kind, sample, 1.0))
    for law in (check_identity, check_same_seed, check_only_inputs, check_pure):
        law(kind, sample)


@every_kind
def test_other_columns_are_left_alone(kind: Corruption) -> None:
    sample = replace(COLOURED, columns={**COLOURED.columns, "x": np.ones(6)})
    assert kind(sample, 1.0, np.random.default_rng(0)).columns["x"] is sample.columns["x"]
    assert kind(Sample({"x": np.ones(6)}), 1.0, np.random.default_rng(0)).columns["x"].tolist() == [1] * 6


class TestOnHandwriting:
    """A support vector machine reads 8 x 8 digits that it has not seen."""

    data = load_digits()
    model = SVC(gamma=0.001).fit(data.data[900:], data.target[900:])
    sample = Sample({"seen": data.data[:300]}, fields={"seen": Field("image", shape=(8, 8), low=0, high=16)})

    def accuracy(self, kind: Corruption, severity: float) -> float:
        return float(self.model.score(spoilt(kind, self.sample, severity), self.data.target[:300]))

    @every_kind
    def test_it_reads_no_better_what_is_spoilt(self, kind: Corruption) -> None:
        assert self.accuracy(kind, 1.0) <= self.accuracy(kind, 0.0) + 0.01

    def test_it_reads_worse_as_severity_grows(self) -> None:
        # Saturation has nothing to work on in grey, and 31 % of zoom are a pixel of blur that this model does not mind.
        kinds = [kind for kind in STANDARD if called(kind) not in ("saturate", "zoom blur")]
        means = [np.mean([self.accuracy(kind, level) for kind in kinds]) for level in (0.0, *LEVELS)]
        assert means == sorted(means, reverse=True)
        assert means[0] > 0.9
        assert means[-1] < 0.7

    def test_saturation_finds_nothing_in_grey(self) -> None:
        saturate = STANDARD[NAMES.index("saturate")]
        np.testing.assert_allclose(spoilt(saturate, self.sample, 1.0), self.sample.columns["seen"], atol=1e-12)
