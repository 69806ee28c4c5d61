from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.stats import binomial_survival
from roadworthy.core.window import Window
from roadworthy.observe.detectors.projections import Projections

WIDE = 64


def window(vectors, **numbers):
    n = len(vectors)
    return Window({"embedding": vectors, **numbers}, {}, np.full(n, np.nan), np.arange(n, dtype=float))


def vectors(n, seed, moved=()):
    """Points on a few axes that differ in length, as embeddings lie."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(n, WIDE)) * np.geomspace(3, 0.1, WIDE)
    for k in moved:
        found[:, k] += 0.8 * np.geomspace(3, 0.1, WIDE)[k]
    return found


def test_a_mean_that_moved_in_one_of_many_directions_is_found_by_it():
    verdict = Projections()(window(vectors(2000, 0)), window(vectors(500, 1, moved=(5,))))
    assert verdict.decision == "fail"
    assert "mean direction of embedding" in verdict.because


def test_vectors_that_are_longer_or_turned_are_found():
    reference = window(vectors(2000, 0))
    assert "norm of embedding" in Projections()(reference, window(1.3 * vectors(300, 1))).because
    turned = np.linalg.qr(np.random.default_rng(3).normal(size=(WIDE, WIDE)))[0]
    verdict = Projections()(reference, window(vectors(500, 1) @ turned))
    assert verdict.decision == "fail"
    assert "direction" in verdict.because


@pytest.mark.parametrize("n", [50, 300, 2000])
def test_false_alarms_stay_within_alpha_over_all_directions(n):
    detector = Projections(alpha=0.05, least=0.0)
    hit = sum(detector(window(vectors(500, k)), window(vectors(n, 700 + k))).decision == "fail" for k in range(50))
    assert binomial_survival(hit, 50, 0.05) > 1e-4


def test_one_monstrous_vector_changes_nothing():
    reference, current = window(vectors(1000, 0)), vectors(300, 1)
    current[0] = 1e300
    current[1, 3] = np.inf
    assert Projections()(reference, window(current)).decision == "pass"
    current[2:] += 0.8 * np.geomspace(3, 0.1, WIDE)
    assert Projections()(reference, window(current)).decision == "fail"


def test_rows_without_a_vector_are_counted():
    current = vectors(300, 1)
    current[:60] = np.nan
    verdict = Projections()(window(vectors(1000, 0)), window(current))
    assert verdict.decision == "fail"
    assert "nulls of norm of embedding by 0.200" in verdict.because


def test_another_width_is_an_alarm_and_so_is_an_index_that_vanished():
    reference = window(vectors(500, 0))
    verdict = Projections()(reference, window(vectors(500, 1)[:, :32]))
    assert verdict.decision == "fail"
    assert verdict.evidence[0].conditions["most"] == "width 64 became 32"
    at = np.zeros(100)
    assert "became nothing" in str(Projections()(reference, Window({}, {}, at, at)).evidence)


def test_numbers_can_be_told_to_be_one_vector():
    rng = np.random.default_rng(0)
    old, new = ({f"e{k}": rng.normal(size=800) + shift for k in range(3)} for shift in (0.0, 0.3))
    at = np.zeros(800)
    windows = Window(old, {}, at, at), Window(new, {}, at, at)
    assert "no input that is a vector" in Projections()(*windows).because
    verdict = Projections(columns=("e0", "e1", "e2"))(*windows)
    assert verdict.decision == "fail"
    assert "e0+e1+e2" in verdict.because
    with pytest.raises(SpecError, match="did you mean 'e2'"):
        Projections(columns=("e0", "e22"))(*windows)


def test_vectors_that_are_all_null_or_alike_are_no_harm():
    nothing = window(np.full((200, 4), np.nan))
    assert Projections()(nothing, window(np.ones((200, 4)))).decision == "wait"
    assert Projections()(window(np.ones((200, 4))), window(np.ones((200, 4)))).decision == "pass"


@pytest.mark.parametrize(("wrong", "told"), [({"alpha": 0}, "alpha"), ({"directions": 0}, "directions")])
def test_impossible_settings_are_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        Projections(**wrong)


def test_waits_below_the_least_rows():
    assert "20 rows against 200" in Projections()(window(vectors(200, 0)), window(vectors(20, 1))).because
