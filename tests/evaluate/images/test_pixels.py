from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.images.pixels import at_level, luma, reach, spoil_images, tinted


def images(values: np.ndarray, **field: object) -> Sample:
    return Sample({"seen": values}, fields={"seen": Field("image", **field)})  # type: ignore[arg-type]


def test_pixels_are_handed_over_from_0_to_1_in_their_shape() -> None:
    seen = []
    sample = images(np.array([[-1.0, 0, 1, 0, 0, 0]]), shape=(2, 3), low=-1, high=1)
    spoil_images(sample, (), lambda given: seen.append(given) or given)  # type: ignore[func-returns-value]
    assert seen[0].shape == (1, 2, 3, 1)
    assert seen[0][0, 0, :, 0].tolist() == [0, 0.5, 1]


def test_a_range_that_is_not_said_is_that_of_a_byte_and_is_kept() -> None:
    sample = images(np.array([[0.0, 51, 102, 255]]), shape=(2, 2))
    brighter = spoil_images(sample, (), lambda given: given * 2)
    assert brighter.columns["seen"].tolist() == [[0, 102, 204, 255]]


def test_many_images_are_spoilt_a_few_at_a_time_in_their_order() -> None:
    sizes: list[int] = []
    values = np.arange(3.0)[:, None] * np.ones((3, 1_500_000))
    spoilt = spoil_images(images(values, shape=(1500, 1000)), (), lambda given: sizes.append(len(given)) or given)  # type: ignore[func-returns-value]
    assert sizes == [2, 1]
    np.testing.assert_allclose(spoilt.columns["seen"][:, 0], np.arange(3.0))


def test_only_the_named_images_are_spoilt() -> None:
    field = Field("image", shape=(1, 1))
    sample = Sample({"a": np.ones((2, 1)), "b": np.ones((2, 1))}, fields={"a": field, "b": field})
    spoilt = spoil_images(sample, ("b",), lambda given: given * 0)
    assert spoilt.columns["a"] is sample.columns["a"]
    assert not spoilt.columns["b"].any()


@pytest.mark.parametrize(("severity", "strength"), [(0, 1), (0.1, 3), (0.2, 5), (0.3, 5.5), (0.6, 8), (1, 20)])
def test_strength_runs_through_the_five_levels(severity: float, strength: float) -> None:
    assert at_level(severity, 1.0, (5, 6, 8, 10, 20)) == pytest.approx(strength)


def test_a_reach_shrinks_with_the_image_down_to_32_pixels() -> None:
    reaches = [reach(np.zeros((1, size, size // 2, 1)), 7.0) for size in (448, 224, 32, 8)]
    assert reaches == [14.0, 7.0, 1.0, 1.0]


def test_brightness_and_tint_follow_the_channels() -> None:
    grey, colour = np.full((1, 2, 2, 1), 0.3), np.full((1, 2, 2, 3), 0.3)
    assert luma(grey).shape == luma(colour).shape == (1, 2, 2, 1)
    assert luma(colour)[0, 0, 0, 0] == pytest.approx(0.3)
    assert tinted(colour, 1, 0, 0).tolist() == [[[[1, 0, 0]]]]
    assert tinted(grey, 1, 0, 0)[0, 0, 0, 0] == pytest.approx(0.299)
