"""A level keeps what it is sure of and says why, of binary answers, of classes, and of nothing at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.wire import Response, Tensor
from roadworthy.route.answering.levels import Level, check, decided


def answer(values: Sequence[float | None], width: int = 1, confidence: Sequence[float] | None = None) -> Response:
    n = len(values) // width
    tensor = Tensor("probability", "FP64", (n,) if width == 1 else (n, width), list(values))
    return Response("r", {"probability": tensor}, confidence=confidence)


def test_a_probability_is_kept_below_low_and_from_high_on_and_sent_on_between():
    level = Level("small", low=0.12, high=0.93)
    judged = level.judge(answer([0.97, 0.93, 0.61, 0.12, 0.11]), "probability", ())
    assert [(one.kept, one.decided) for one in judged] == [
        (True, True), (True, True), (False, True), (False, False), (True, False),
    ]  # fmt: skip
    assert judged[0].because == "probability 0.97, at least 0.93: kept"
    assert judged[2].because == "probability 0.61 between 0.12 and 0.93: sent on"
    assert judged[4].because == "probability 0.11 below 0.12: kept"


def test_a_level_with_one_threshold_keeps_one_side_only():
    judged = Level("small", high=0.9).judge(answer([0.01, 0.95]), "", ())
    assert [one.kept for one in judged] == [False, True]
    judged = Level("small", low=0.1).judge(answer([0.01, 0.95]), "", ())
    assert [one.kept for one in judged] == [True, False]


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_what_is_no_number_is_never_kept(nothing):
    (judged,) = Level("small", low=0.5, high=0.5).judge(answer([nothing]), "", ())
    assert (judged.kept, judged.because) == (False, "no probability: sent on")
    (judged,) = Level("small", least=0.0).judge(answer([0.2, 0.8], 2, confidence=[math.nan]), "", ())
    assert (judged.kept, judged.because) == (False, "no confidence: sent on")


def test_a_class_is_kept_where_its_confidence_reaches_what_is_asked_of_that_class():
    level = Level("small", least=0.8, least_of={"cat": 0.6})
    judged = level.judge(answer([0.7, 0.3, 0.3, 0.7, 0.1, 0.9], 2), "probability", ("cat", "dog"))
    assert [(one.kept, one.decided) for one in judged] == [(True, "cat"), (False, "dog"), (True, "dog")]
    assert judged[1].because == "confidence 0.7 in 'dog' below 0.8: sent on"


def test_the_confidence_that_the_model_tells_goes_before_its_largest_number():
    level = Level("small", least=0.8)
    assert level.judge(answer([0.9, 0.1], 2, confidence=[0.5]), "", ())[0].kept is False
    assert level.judge(answer([0.9, 0.1], 2), "", ())[0].kept is True


def test_a_binary_answer_may_be_judged_by_confidence_too():
    level = Level("small", least_of={"late": 0.9, "on time": 0.7})
    judged = level.judge(answer([0.8, 0.2], confidence=[0.8, 0.8]), "", ("on time", "late"))
    assert [one.kept for one in judged] == [False, True]
    with pytest.raises(SpecError, match="its model tells no confidence: wrap it"):
        level.judge(answer([0.8]), "", ())


def test_arrays_of_an_engine_are_read_as_lists_are():
    tensor = Tensor("p", "FP64", (2, 2), np.array([[0.2, 0.8], [0.6, 0.4]]))
    assert decided(tensor, ("a", "b")) == ["b", "a"]
    judged = Level("small", high=0.5).judge(Response("r", {"p": Tensor("p", "FP64", (1,), np.array([0.7]))}), "p", ())
    assert judged[0].decided is True


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"low": 0.9, "high": 0.1}, "must not be above"),
        ({"low": math.nan}, "must be a number"),
        ({"low": 0.1, "least": 0.5}, "one of the two kinds"),
        ({"least": 0.5, "wait_seconds": -1.0}, "`wait_seconds` of level 'small' must be 0 or more"),
    ],
)
def test_thresholds_that_contradict_each_other_are_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        Level("small", **settings)


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        ((Level("small", high=0.9),), "two levels or more"),
        ((Level("small", high=0.9), Level("small")), "two levels or more"),
        ((Level("smal", high=0.9), Level("large")), "no model for a level of the cascade named 'smal'.*'small'"),
        ((Level("small"), Level("large")), "'small' has no threshold"),
        ((Level("small", high=0.9), Level("large", high=0.9)), "is the last level and has thresholds"),
    ],
)
def test_levels_that_do_not_go_with_the_models_are_refused(levels, told):
    with pytest.raises(SpecError, match=told):
        check(levels, ("small", "large"))


def test_a_model_that_nobody_would_ask_is_refused():
    with pytest.raises(SpecError, match="'medium' stands on no level"):
        check((Level("small", high=0.9), Level("large")), ("small", "medium", "large"))


def test_an_answer_without_the_output_is_refused_with_what_there_is():
    with pytest.raises(SpecError, match=r"no output 'probabilty' .*did you mean 'probability'"):
        Level("small", high=0.9).judge(answer([0.5]), "probabilty", ())
