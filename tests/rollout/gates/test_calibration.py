from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.window import Window
from roadworthy.rollout.base import Expected
from roadworthy.rollout.gates.calibration import Calibration


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def answered(
    n: int, level: float = 0.0, slope: float = 1.0, shadow: bool = True, world: float = 0.0, seed: int = 0
) -> tuple[Window, Window]:
    """Stable says the chance as it was learnt; the candidate adds `level` to its logit and stretches it by `slope`.

    `world` moves the chances of all requests away from what was learnt.
    """
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 1.2, n)
    label = (rng.random(n) < sigmoid(logit + world)).astype(np.float64)
    at, ids = np.arange(n, dtype=np.float64), np.array([f"r{k}" for k in range(n)], object)
    mine = np.ones(n, np.bool_) if shadow else rng.random(n) < 0.5
    arms = []
    for kept, x, arm in ((~mine | shadow, logit, "stable"), (mine, slope * logit + level, "canary")):
        answer = sigmoid(x + rng.normal(0, 0.2, n))[kept]
        names = np.full(int(kept.sum()), "shadow" if shadow and arm == "canary" else arm, object)
        arms.append(Window({}, {"probability": answer}, label[kept], at[kept], ids=ids[kept], arms=names))
    return arms[0], arms[1]


@pytest.mark.parametrize("shadow", [True, False])
def test_answers_that_lie_too_high_fail(shadow: bool) -> None:
    verdict = Calibration()(*answered(6000, level=0.8, shadow=shadow))
    assert verdict.decision == "fail"
    assert "too high on average" in verdict.because


@pytest.mark.parametrize(("slope", "way"), [(3.0, "apart"), (0.2, "together")])
def test_answers_too_far_apart_or_too_close_fail_though_their_mean_is_right(slope: float, way: str) -> None:
    verdict = Calibration()(*answered(12_000, slope=slope))
    assert verdict.decision == "fail"
    assert f"too far {way} on average" in verdict.because


def test_an_equally_calibrated_one_passes() -> None:
    assert Calibration()(*answered(6000)).decision == "pass"


def test_a_week_that_lifts_both_blames_neither() -> None:
    assert Calibration()(*answered(6000, world=1.0)).decision == "pass"


def test_a_candidate_that_puts_stable_right_passes() -> None:
    """Stable is too low for the world as it is now; the candidate is lifted by just as much."""
    verdict = Calibration()(*answered(6000, level=1.0, world=1.0))
    assert verdict.decision == "pass"


def test_numbers_are_judged_too() -> None:
    control, candidate = answered(3000)
    of_number = Calibration(margin=0.1)
    assert of_number(control, candidate).decision == "pass"
    shifted = Window(
        {}, {"probability": candidate.outputs["probability"] + 5}, candidate.labels, candidate.at, ids=candidate.ids
    )
    assert of_number(control, shifted).decision == "fail"


def test_it_waits_for_labels_for_hours_and_for_its_output() -> None:
    control, candidate = answered(3000, level=2.0)
    unlabelled = Window({}, candidate.outputs, np.full(3000, np.nan), candidate.at, ids=candidate.ids)
    assert Calibration()(control, unlabelled).because.startswith("0 of 200 rows")
    assert Calibration(least_hours=1.0)(control, candidate).decision == "wait"
    assert Calibration(output="score")(control, candidate).decision == "wait"


def test_text_for_an_answer_is_no_answer() -> None:
    control, candidate = answered(300)
    text = Window({}, {"probability": np.full(300, "high", object)}, candidate.labels, candidate.at, ids=candidate.ids)
    assert Calibration()(control, text).decision == "wait"


def test_it_plans_in_labels() -> None:
    stable, _ = answered(2000)
    need = Calibration().plan(Expected(stable, 100.0, 1.0, True, 50.0, 3.0))
    assert need.requests == pytest.approx(2 * need.labels)
    assert need.hours == pytest.approx(need.labels / 50.0 + 3.0)
