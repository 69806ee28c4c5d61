from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.profile import Profile
from roadworthy.core.spec import Monitor
from roadworthy.core.window import Window
from roadworthy.observe.drift.budget import MOST_ALPHA, alpha_a_look
from roadworthy.observe.drift.pairs import beyond_chance, pair

QUESTIONS = np.array(["Why was my card declined today?", "How do I close my account?", None], object)


def profile(n: int = 200, seed: int = 0, like: Profile | None = None, without: str = "", **columns) -> Profile:
    rng = np.random.default_rng(seed)
    inputs = {
        "x": rng.normal(size=n),
        "carrier": rng.choice(np.array(["AA", "UA"], object), n),
        "question": rng.choice(QUESTIONS, n),
        "vector": rng.normal(size=(n, 3)),
        **columns,
    }
    inputs.pop(without, None)
    rows = Window(inputs, {"p": rng.uniform(size=n)}, np.full(n, np.nan), np.zeros(n), confidence=rng.uniform(size=n))
    return Profile.of(rows, like=like)


REFERENCE = profile()


def names(found) -> list[str]:
    return [each.name for each in found.pairs]


def test_inputs_are_paired_and_texts_by_their_features():
    found = pair(REFERENCE, profile(seed=1, like=REFERENCE))
    assert names(found) == [
        "x",
        "carrier",
        "question",
        *(f"question.{f}" for f in ("length", "words", "non_ascii", "digits", "special", "new_terms", "language")),
        "vector",
    ]
    assert (found.gone, found.new, found.told) == ((), (), "")


def test_everything_has_outputs_and_the_confidence_too():
    found = pair(REFERENCE, profile(seed=1, like=REFERENCE), everything=True)
    assert names(found)[-2:] == ["p", "confidence"]


def test_columns_choose_and_ignore_leaves_out():
    now = profile(seed=1, like=REFERENCE)
    assert names(pair(REFERENCE, now, columns=("p", "x"))) == ["p", "x"]
    assert names(pair(REFERENCE, now, ignore=("question", "x"))) == ["carrier", "vector"]
    with pytest.raises(SpecError, match="'carier'; did you mean 'carrier'"):
        pair(REFERENCE, now, columns=("carier",))


@pytest.mark.parametrize("gone", ["x", "carrier", "question", "vector"])
def test_a_column_that_vanished_is_null_throughout_and_named(gone):
    found = pair(REFERENCE, profile(60, 1, REFERENCE, without=gone))
    (vanished,) = [each for each in found.pairs if each.name == gone]
    assert (vanished.current.n, vanished.current.nulls) == (60, 60)
    assert found.gone == (gone,)
    assert found.told == f"; gone: {gone}"


def test_a_new_column_is_named_unless_somebody_chose():
    now = profile(60, 1, REFERENCE, brand_new=np.arange(60.0))
    assert pair(REFERENCE, now).new == ("brand_new",)
    assert pair(REFERENCE, now, columns=("x",)).new == ()


def measured(*ps: float) -> list[Measurement]:
    return [Measurement("psi", 1.0, where=str(k), conditions={"p": p}) for k, p in enumerate(ps)]


def test_chance_is_shared_out_step_by_step():
    assert [m.where for m in beyond_chance(measured(0.012, 0.02, 0.4, 0.001), 0.05)] == ["3", "0", "1"]
    assert beyond_chance(measured(0.02, 0.02, 0.02), 0.05) == []
    assert beyond_chance([], 0.05) == []


@pytest.mark.parametrize(
    ("monitor", "alpha"),
    [
        (Monitor(detectors=("drift",), every_days=1.0, false_alarms_a_month=0.3), 0.01),
        (Monitor(detectors=("drift", "calibration"), every_days=1.0, false_alarms_a_month=0.3), 0.005),
        (Monitor(detectors=("drift",), every_days=1 / 24, false_alarms_a_month=0.72), 0.001),
        (Monitor(detectors=("drift",), every_days=30.0, false_alarms_a_month=5.0), MOST_ALPHA),
        (Monitor(detectors=(), every_days=3.0, false_alarms_a_month=0.1), 0.01),
    ],
    ids=["daily", "shared by two", "hourly", "a lavish budget", "no detector"],
)
def test_the_budget_of_a_month_is_shared_out_over_looks_and_detectors(monitor, alpha):
    assert alpha_a_look(monitor) == pytest.approx(alpha)
