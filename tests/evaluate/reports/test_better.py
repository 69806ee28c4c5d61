from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing, proportion
from roadworthy.evaluate.reports.better import Noise, best_of, difference, direction, goodness, sign_of, standing


def m(value: float, half: float = 0.01, name: str = "accuracy", n: int = 1000) -> Measurement:
    return Measurement(name, value, n, value - half, value + half)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("accuracy", 1),
        ("top_5", 1),
        ("log_loss", -1),
        ("p99_ms", -1),
        ("single_stream_p90_ms", -1),
        ("ready_ms", -1),
        ("max_rate_rps", 1),
        ("rss_peak", -1),
        ("base_rate", 0),
        ("client_cpu_share", 0),
        ("my_own_metric", 0),
    ],
)
def test_each_number_has_its_direction(name: str, way: int) -> None:
    assert direction(name) == way
    assert (best_of(name) is None) == (way == 0)


def test_more_of_a_loss_is_worse_and_less_of_it_better() -> None:
    assert standing(m(0.5, name="log_loss"), m(0.4, name="log_loss")) == "better"
    assert standing(m(0.4, name="log_loss"), m(0.5, name="log_loss")) == "worse"
    assert standing(m(0.40, name="log_loss"), m(0.41, name="log_loss")) == "undecided"


def test_a_bias_counts_by_its_distance_from_zero() -> None:
    assert standing(m(-0.5, name="bias"), m(0.1, name="bias")) == "better"
    assert standing(m(0.1, name="bias"), m(-0.5, name="bias")) == "worse"
    crossing = goodness(m(0.005, name="bias"))
    assert crossing is not None
    assert (crossing.high, crossing.low) == (0.0, pytest.approx(-0.015))


def test_a_number_without_a_direction_is_never_better() -> None:
    assert standing(m(0.1, name="base_rate"), m(0.9, name="base_rate")) == "undecided"


def test_the_interval_of_a_difference_holds_as_often_as_it_says() -> None:
    rng, n, one, other = np.random.default_rng(0), 400, 0.9, 0.85
    held = 0
    for _ in range(2000):
        before, after = (proportion("accuracy", int(rng.binomial(n, p)), n) for p in (one, other))
        found = difference(before, after)
        held += found.low <= other - one <= found.high
    assert 0.935 <= held / 2000 <= 0.97


def test_a_stricter_level_widens_the_interval() -> None:
    loose, strict = difference(m(0.9), m(0.8)), difference(m(0.9), m(0.8), alpha=0.0001)
    assert strict.low < loose.low < loose.value < loose.high < strict.high
    assert strict.conditions == {"confidence": 0.9999}


def test_an_interval_of_another_level_is_brought_to_the_same_one() -> None:
    wide = Measurement("accuracy", 0.9, 100, 0.87425, 0.92575, conditions={"confidence": 0.99})
    assert difference(wide, wide).high == pytest.approx(math.hypot(0.0196, 0.0196), rel=0.01)


def test_nothing_measured_is_undecided() -> None:
    assert difference(nothing("accuracy"), m(0.9)).n == 0
    assert standing(nothing("accuracy"), m(0.9)) == "undecided"


def test_an_infinite_latency_is_worse_than_any_that_it_does_not_reach() -> None:
    fine = Measurement("p99_ms", 12.0, 900, 9.0, 14.0, "ms")
    lost = Measurement("p99_ms", math.inf, 900, 80.0, math.inf, "ms")
    assert standing(fine, lost) == "worse"
    assert standing(lost, fine) == "better"
    assert standing(lost, lost) == "undecided"


def test_an_open_interval_is_undecided() -> None:
    assert standing(Measurement("accuracy", 0.9, 3), m(0.5)) == "undecided"
    assert sign_of(Measurement("x", 0.1, 3), 1) == "undecided"


def test_a_machine_varies_by_a_fifth() -> None:
    noise, was = Noise(), m(100.0, 0.1, "p99_ms")
    assert noise.of_a_machine(was, m(119.0, 0.1, "p99_ms"))
    assert not noise.of_a_machine(was, m(121.0, 0.1, "p99_ms"))


def test_a_level_of_noise_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="`alpha` must be between 0 and 1"):
        Noise(alpha=0.0)
