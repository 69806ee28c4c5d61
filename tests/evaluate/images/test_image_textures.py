from __future__ import annotations

import numpy as np
import pytest

from roadworthy.evaluate.images.image_textures import clouds, crystals, drops, flakes

SHAPE = (4, 40, 30, 3)


def steepness(layer: np.ndarray) -> float:
    return float(np.abs(np.diff(layer, axis=2)).mean() / layer.std())


@pytest.mark.parametrize("make", [lambda r: clouds(SHAPE, 2.0, r), lambda r: crystals(SHAPE, r)])
def test_a_texture_fits_the_images_and_each_has_its_own(make: object) -> None:
    layer = make(np.random.default_rng(0))  # type: ignore[operator]
    assert layer.shape == SHAPE[:3]
    assert layer.min() >= 0
    assert 0.5 < layer.max() <= 1
    assert not np.array_equal(layer[0], layer[1])


def test_clouds_have_a_finer_grain_the_rougher_they_are() -> None:
    rough, soft = (clouds((8, 64, 64, 1), decay, np.random.default_rng(0)) for decay in (1.2, 3.0))
    assert steepness(rough) > 2 * steepness(soft)


def test_clouds_cover_near_and_far_alike() -> None:
    layer = clouds((400, 32, 32, 1), 1.7, np.random.default_rng(0))
    assert layer.mean(axis=0).std() < 0.06


def test_more_seeds_are_more_snow_and_longer_streaks_fall_down() -> None:
    few, many = (flakes(SHAPE, share, 5, np.random.default_rng(0)).mean() for share in (0.01, 0.05))
    assert many > 3 * few
    layer = flakes((8, 64, 64, 1), 0.01, 12, np.random.default_rng(0))
    assert np.abs(np.diff(layer, axis=1)).mean() < np.abs(np.diff(layer, axis=2)).mean()


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_drops_cover_their_share(share: float) -> None:
    layer = drops((4, 64, 64, 1), share, 3.0, np.random.default_rng(0))
    assert (layer > 0.5).mean() == pytest.approx(share, abs=0.02)


def test_no_drops_are_none() -> None:
    assert not drops(SHAPE, 0.0, 3.0, np.random.default_rng(0)).any()
