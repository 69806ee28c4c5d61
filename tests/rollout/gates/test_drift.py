from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from roadworthy.core.window import Window
from roadworthy.rollout.gates.drift import Drift


def seen(
    n: int, change: Any = None, arm: str = "canary", spoil: Any = None, seed: int = 0, hours: float = 1.0
) -> tuple[Window, Window]:
    """A model of temperature; `change` is what its pipeline does to that, `spoil` what the assignment does."""
    rng = np.random.default_rng(seed)
    temperature = rng.normal(60, 15, n)
    city = np.array(["ab", "cd", "ef"], object)[rng.integers(0, 3, n)]
    mine = np.ones(n, np.bool_) if arm == "shadow" else rng.random(n) < 0.3
    at, ids = np.linspace(0, 3600 * hours, n), np.array([f"r{k}" for k in range(n)], object)
    if spoil is not None:
        mine &= spoil(temperature)
    arms = []
    for part, felt, name in (
        (~mine if arm != "shadow" else mine, temperature, "stable"),
        (mine, change(temperature) if change else temperature, arm),
    ):
        answer = 1 / (1 + np.exp(-(felt - 60) / 15 + rng.normal(0, 0.2, n)))
        outputs = {"probability": answer[part], "word": np.where(answer > 0.5, "high", "low").astype(object)[part]}
        inputs = {"temperature": temperature[part], "city": city[part]}
        m = int(part.sum())
        arms.append(Window(inputs, outputs, np.full(m, np.nan), at[part], {}, ids[part], arms=np.full(m, name, object)))
    return arms[0], arms[1]


def celsius(temperature: np.ndarray) -> np.ndarray:
    return (temperature - 32) / 1.8


@pytest.mark.parametrize(("arm", "requests"), [("shadow", 200), ("canary", 700)])
def test_a_pipeline_that_sends_celsius_fails_within_some_hundred_requests(arm: str, requests: int) -> None:
    verdict = Drift()(*seen(requests, celsius, arm))
    assert verdict.decision == "fail"
    assert "outputs.probability" in verdict.because or "'probability'" in verdict.because


@pytest.mark.parametrize("arm", ["shadow", "canary"])
def test_a_model_that_moves_little_passes(arm: str) -> None:
    assert Drift()(*seen(6000, lambda t: t + 2, arm)).decision == "pass"


def test_errors_that_cancel_out_are_seen_in_pairs() -> None:
    """Answers are dealt to the wrong requests: the shares above any decile stay what they were."""
    control, candidate = seen(1000, arm="shadow")
    swapped = {name: np.roll(column, 1) for name, column in candidate.outputs.items()}
    verdict = Drift()(control, dataclasses.replace(candidate, outputs=swapped))
    assert verdict.decision == "fail"
    assert "single answers 'probability' moved" in verdict.because


def test_inputs_that_differ_between_the_arms_tell_of_a_broken_assignment() -> None:
    verdict = Drift(margin=0.9)(*seen(4000, spoil=lambda t: t > 50))
    assert verdict.decision == "fail"
    assert "inputs.temperature" in verdict.because


def test_text_answers_are_compared_by_how_often_each_comes() -> None:
    control, candidate = seen(3000)
    wordy = {"word": np.full(candidate.n, "neither", object)}
    verdict = Drift()(control, dataclasses.replace(candidate, outputs=wordy))
    assert verdict.decision == "fail"
    assert "outputs.word are" in verdict.because


def test_answers_that_go_missing_fail() -> None:
    for arm in ("canary", "shadow"):
        control, candidate = seen(2000, arm=arm)
        half = np.where(np.arange(candidate.n) % 2 == 0, candidate.outputs["probability"], np.nan)
        verdict = Drift()(control, dataclasses.replace(candidate, outputs={"probability": half}))
        assert verdict.decision == "fail"


def test_it_waits_for_the_hours_of_a_cycle() -> None:
    arms = seen(400, celsius, "shadow", hours=3.0)
    assert "3.0 of 24 hours" in Drift(least_hours=24.0)(*arms).because


def test_vectors_and_columns_of_one_arm_are_left_out() -> None:
    control, candidate = seen(600)
    wide = dataclasses.replace(candidate, outputs={"vector": np.ones((candidate.n, 4))})
    assert "no output of both arms" in Drift()(control, wide).because


def test_numbers_written_as_text_are_compared_as_numbers() -> None:
    control, candidate = seen(3000)
    text = {"probability": np.full(candidate.n, "0.5", object)}
    assert Drift()(control, dataclasses.replace(candidate, outputs=text)).decision == "fail"


def test_equal_arms_are_failed_less_often_than_alpha_at_margins_of_nothing() -> None:
    gate = Drift(margin=0.0, inputs=0.0, alpha=0.1)
    failed = 0
    for seed in range(40):
        control, candidate = seen(1500, seed=seed)
        looks = ((control.at <= end, candidate.at <= end) for end in np.linspace(600, 3600, 6))
        failed += any(gate(control.take(one), candidate.take(two)).decision == "fail" for one, two in looks)
    assert failed <= 11, "more than 11 of 40 happen once in a thousand at 10 %"
