from __future__ import annotations

import dataclasses

import numpy as np

from roadworthy.core.window import Window
from roadworthy.rollout.base import Expected
from roadworthy.rollout.gates.guard import Guard


def guarded(
    n: int, of_stable: float, of_candidate: float, step: str = "guard_in", arm: str = "canary"
) -> tuple[Window, Window]:
    rng = np.random.default_rng(0)
    arms = []
    for rate, name in ((of_stable, "stable"), (of_candidate, arm)):
        ids = np.array([f"{'r' if arm == 'shadow' else name}{k}" for k in range(n)], object)
        steps = {step: rng.random(n) < rate, "split": np.ones(n, np.bool_)}
        at = np.arange(n) + (name == arm) / 2
        arms.append(Window({}, {}, np.full(n, np.nan), at, ids=ids, steps=steps, arms=np.full(n, name, object)))
    return arms[0], arms[1]


def test_a_candidate_that_meets_its_guards_more_often_fails() -> None:
    for arm in ("canary", "shadow"):
        verdict = Guard()(*guarded(1000, 0.01, 0.1, arm=arm))
        assert verdict.decision == "fail"
        assert "of the candidate were stopped" in verdict.because


def test_equally_many_pass() -> None:
    assert Guard()(*guarded(4000, 0.001, 0.001)).decision == "pass"


def test_steps_that_are_no_guards_do_not_count() -> None:
    assert Guard()(*guarded(2000, 0.0, 0.5, step="cache")).decision == "pass"
    assert Guard(steps=("cache",))(*guarded(2000, 0.0, 0.5, step="cache")).decision == "fail"


def test_answers_of_a_fallback_count() -> None:
    control, candidate = guarded(1000, 0.0, 0.0)
    arms = np.full(1000, "canary", object)
    arms[1::5] = "fallback"
    assert Guard()(control, dataclasses.replace(candidate, arms=arms)).decision == "fail"


def test_it_plans_from_how_often_stable_was_stopped() -> None:
    few, many = (
        Guard().plan(Expected(guarded(2000, rate, 0.0)[0], 1000.0, 0.1, False, 0.0, 0.0)) for rate in (0.0, 0.05)
    )
    assert 0 < few.requests < many.requests
