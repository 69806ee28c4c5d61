from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from roadworthy.evaluate.process.leak import growth, leak

MB = 1e6


def readings(n: int = 1200, leaking: float = 0.0, seed: int = 0, period: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Ten a second; a process that breathes 20 MB in `period` seconds and leaks so many bytes a second."""
    at = np.arange(n) * 0.1
    breath = 20 * MB * (at % period) / period if period else 0.0
    held = 200 * MB + leaking * at + breath + np.random.default_rng(seed).normal(0, 0.05 * MB, n)
    return at, np.round(held / 4096) * 4096


def ever(at: np.ndarray, held: np.ndarray) -> list[str]:
    """The verdicts of somebody who looks every second."""
    return [leak(at[:k], held[:k], 10_000.0).decision for k in range(10, len(at) + 1, 10)]


def test_a_leak_is_found_and_its_slope_with_it() -> None:
    at, held = readings(leaking=0.3 * MB)
    assert leak(at, held, 10_000.0).decision == "fail"
    found = growth(at, held)
    assert found.low <= 0.3 * MB <= found.high
    assert found.value == pytest.approx(0.3 * MB, rel=0.05)
    assert leak(at, held, 1 * MB).decision == "pass", "who allows more than that has no leak"


@pytest.mark.parametrize("period", [0.0, 0.7, 3.0, 10.0])
def test_a_process_that_breathes_is_never_accused_however_often_one_looks(period: float) -> None:
    for seed in range(4):
        assert "fail" not in ever(*readings(period=period, seed=seed))


def test_a_leak_beneath_the_breath_is_found() -> None:
    assert leak(*readings(leaking=0.4 * MB, period=1.0), 10_000.0).decision == "fail"
    assert leak(*readings(3000, leaking=0.4 * MB, period=4.0), 10_000.0).decision == "fail"


def test_a_calm_process_passes_once_it_was_watched_for_long_enough() -> None:
    decisions = ever(*readings(3000))
    assert decisions[5] == "wait"
    assert decisions[-1] == "pass"


def test_a_cache_that_fills_is_not_called_a_leak_once_it_slows_down() -> None:
    at = np.arange(1200) * 0.1
    filling = 200 * MB + 50 * MB * (1 - np.exp(-at / 15))
    found = leak(at[:400], filling[:400], 10_000.0)
    assert found.decision == "wait"
    assert "slower and slower" in found.because


def test_the_interval_holds_the_slope_at_every_look() -> None:
    for seed in range(30):
        at, held = readings(600, leaking=0.1 * MB, seed=seed)
        for k in range(40, 601, 7):
            found = growth(at[:k], held[:k])
            assert found.low <= 0.1 * MB <= found.high


def test_the_slope_is_that_of_theil_and_sen() -> None:
    """Forty readings make twenty stretches of one reading each, in the later half."""
    at, held = readings(40, leaking=2 * MB)
    found = growth(at, held)
    assert found.n == 20
    assert found.value == pytest.approx(stats.theilslopes(held[20:], at[20:]).slope)
    confidence = 1 - 0.05 / 2
    oracle = stats.theilslopes(held[20:], at[20:], alpha=confidence)
    page = 4096 / (at[-1] - at[20])
    assert found.low <= oracle.low_slope - page <= 1.3 * found.low
    assert found.high >= oracle.high_slope + page >= found.high / 1.3


def test_looking_between_two_looks_changes_nothing() -> None:
    at, held = readings(3000)
    many = [growth(at[:k], held[:k]) for k in range(2000, 2100)]
    assert len({m.value for m in many}) == len({m.conditions["look"] for m in many}) <= 3


def test_too_little_time_waits_and_says_how_long() -> None:
    at, held = readings(200, leaking=1 * MB)
    found = leak(at, held, 10_000.0)
    assert found.decision == "wait"
    assert "watch for 30 s at least" in found.because
    assert leak(at, held, 10_000.0, least_seconds=5.0).decision == "fail"
    assert leak(at[:0], held[:0], 10_000.0).decision == "wait"


def test_memory_that_never_moves_is_known_to_a_page() -> None:
    at = np.arange(600) * 0.1
    found = growth(at, np.full(600, 200 * MB))
    assert found.value == 0
    assert found.high == pytest.approx(4096 / 30, rel=0.1)


def test_what_was_given_back_before_may_be_given_back_again() -> None:
    at, held = readings(390, period=20.0)
    found = leak(at, held, 10_000.0)
    assert found.decision == "wait"
    assert "has given back" in found.because
