from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.stats import calibration_error
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.wrappers.calibrated import Calibrated, fit


def answer(made: Calibrated, probabilities: list[float], name: str = "probability") -> Response:
    async def inner(request: Request) -> Response:
        outputs = {name: Tensor(name, "FP32", (len(probabilities),), probabilities)}
        return Response(request.id, outputs, confidence=[0.0] * len(probabilities), seconds={"model": 1.0})

    async def run() -> Response:
        return await made(inner)(Request("r", {}, 0.0))

    return asyncio.run(run())


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_slope_and_intercept_work_on_the_log_odds() -> None:
    got = answer(Calibrated(slope=2.0, intercept=-1.0), [0.5, 0.8])
    p = got.outputs["probability"].data  # type: ignore[index]
    assert [logit(x) for x in p] == pytest.approx([-1.0, 2 * logit(0.8) - 1])
    assert got.confidence == pytest.approx([1 - p[0], p[1]])
    assert got.seconds == {"model": 1.0}


def test_one_and_zero_change_nothing() -> None:
    got: Any = answer(Calibrated(), [0.1, 0.5, 0.9]).outputs
    assert got["probability"].data == pytest.approx([0.1, 0.5, 0.9])


def test_certain_and_absurd_probabilities_stay_in_bounds() -> None:
    got: Any = answer(Calibrated(slope=1e6, intercept=5), [0.0, 1.0, math.nan]).outputs
    assert got["probability"].data[:2] == [0.0, 1.0]
    assert math.isnan(got["probability"].data[2])


def test_an_absent_output_is_named() -> None:
    with pytest.raises(SpecError, match=r"no output 'probability' to calibrate; did you mean 'probabilities'"):
        answer(Calibrated(), [0.5], "probabilities")


def test_fit_recovers_the_line_that_spoilt_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(-1, 1.5, size=20000)
    labels = rng.random(20000) < 1 / (1 + np.exp(-odds))
    spoilt = 1 / (1 + np.exp(-(odds + 0.8) / 0.5))
    made = fit(labels, spoilt)
    assert (made.slope, made.intercept) == (pytest.approx(0.5, abs=0.02), pytest.approx(-0.8, abs=0.04))
    honest = [made.calibrate(p) for p in spoilt]
    assert calibration_error(labels, honest).value < 0.01 < calibration_error(labels, spoilt).value


def test_fit_agrees_with_scikit_learn_on_platts_targets() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.01, 0.99, size=80)
    y = (rng.random(80) < p).astype(int)
    odds, up = np.log(p / (1 - p)), (y.sum() + 1) / (y.sum() + 2)
    down = 1 / (80 - y.sum() + 2)
    target = np.where(y == 1, up, down)
    twice = np.repeat(odds, 2).reshape(-1, 1)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        twice, np.tile([1, 0], 80), sample_weight=np.stack([target, 1 - target], axis=1).reshape(-1)
    )
    made = fit(y, p)
    assert (made.slope, made.intercept) == (
        pytest.approx(peer.coef_[0, 0], abs=1e-4),
        pytest.approx(peer.intercept_[0], abs=1e-4),
    )


@pytest.mark.parametrize("p", [[0.0, 0.0, 1.0, 1.0], [0.3, 0.3, 0.3, 0.3]])
def test_fit_stays_finite_on_separated_and_on_constant_probabilities(p: list[float]) -> None:
    made = fit([0, 0, 1, 1], p)
    assert math.isfinite(made.slope)
    assert math.isfinite(made.intercept)
    assert made.calibrate(p[0]) <= 0.5 <= made.calibrate(p[-1]) + 1e-9


@pytest.mark.parametrize(
    ("labels", "p", "said"),
    [
        ([1, 1], [0.5, 0.6], "got 2 of class 1 in 2 rows"),
        ([], [], "got 0 of class 1 in 0 rows"),
        ([1], [0.5, 0.6], "one label"),
        ([1, math.nan], [0.5, 0.6], "not known yet"),
        ([1, 0], [0.5, math.nan], "finite probability"),
    ],
)
def test_fit_refuses_what_it_cannot_learn_from(labels: list[float], p: list[float], said: str) -> None:
    with pytest.raises(BadData, match=said):
        fit(labels, p)


def test_a_plan_makes_it() -> None:
    assert wrapper.make("calibrated:slope=0.9,intercept=-0.1") == Calibrated(0.9, -0.1)


def test_fit_refuses_margins() -> None:
    with pytest.raises(BadData, match=r"a probability is a number from 0 to 1, got 1\.5"):
        fit([0, 1], [0.2, 1.5])


@pytest.mark.parametrize("kind", [np.int64, np.bool_])
def test_an_answer_that_is_no_probability_is_not_made_another_answer(kind: type) -> None:
    with pytest.raises(BadData, match="not floating-point numbers"):
        Calibrated(0.5).on_outputs({"probability": np.array([0, 1], kind)})


def test_fit_names_labels_that_are_text() -> None:
    with pytest.raises(BadData, match="labels must be numbers"):
        fit(["no", "yes"], [0.1, 0.9])
