"""Rows that nothing can be learnt from are refused with a sentence, by whatever is fitted; never a silent promise."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.serve.calibration.choosing import choose
from roadworthy.serve.calibration.methods import METHODS, fit_by_name
from roadworthy.serve.conformal.fitting import fit
from roadworthy.serve.selective.threshold import bound_at, certify
from roadworthy.serve.wrappers import adaptive, mondrian_class, mondrian_segment, weighted
from roadworthy.serve.wrappers.absolute import Absolute
from roadworthy.serve.wrappers.aps import Aps
from roadworthy.serve.wrappers.lac import Lac
from roadworthy.serve.wrappers.raps import Raps, tuned

RNG = np.random.default_rng(0)
N = 300
P = RNG.random(N)
Y = (RNG.random(N) < P).astype(np.float64)
MANY = RNG.dirichlet([1.0, 1.0, 1.0], N)
OF_MANY = np.array([RNG.choice(3, p=row) for row in MANY], np.float64)


def put(values: Any, value: float) -> Any:
    """The values with another one in the fourth row."""
    found = np.array(values)
    found[3] = value
    return found


UNKNOWN = {
    "no row": lambda y, p: (y[:0], p[:0]),
    "a NaN": lambda y, p: (y, put(p, np.nan)),
    "an infinity": lambda y, p: (y, put(p, np.inf)),
    "below 0": lambda y, p: (y, put(p, -0.2)),
    "above 1": lambda y, p: (y, put(p, 1.7)),
    "huge": lambda y, p: (y, put(p, 1e308)),
    "no label": lambda y, p: (put(y, np.nan), p),
    "an infinite label": lambda y, p: (put(y, np.inf), p),
    "a label that is no class": lambda y, p: (put(y, 7), p),
    "a label below 0": lambda y, p: (put(y, -1), p),
    "half a label": lambda y, p: (put(y, 0.5), p),
    "a label too few": lambda y, p: (y[:-1], p),
    "labels of text": lambda y, p: (np.array(["no"] * len(y)), p),
    "answers of text": lambda y, p: (y, np.array(["no"] * len(y))),
    "one class": lambda y, p: (np.ones(len(y)), p),
}
LAC = Lac(output="p")
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    **{name: lambda y, p, name=name: fit_by_name(name, y, p) for name in METHODS if METHODS[name].task == "binary"},
    "choose": choose,
    **{type(leaf).__name__: lambda y, p, leaf=leaf: fit(leaf, y, {"p": p}) for leaf in (LAC, Aps(output="p"))},
    "mondrian_class": lambda y, p: mondrian_class.fit(LAC, y, {"p": p}),
    "mondrian_segment": lambda y, p: mondrian_segment.fit(LAC, y, {"p": p}, "s", ["a"] * len(y)),
    "weighted": lambda y, p: weighted.fit(LAC, y, {"p": p}, np.ones(len(y))),
    "adaptive": lambda y, p: adaptive.fit(LAC, y, {"p": p}),
}
SEVERAL: dict[str, Callable[[Any, Any], Any]] = {
    **{name: lambda y, p, name=name: fit_by_name(name, y, p) for name in METHODS if METHODS[name].task != "binary"},
    "choose": lambda y, p: choose(y, p, "multiclass"),
    "raps": lambda y, p: fit(Raps(output="p"), y, {"p": p}),
    "tuned": lambda y, p: tuned(Raps(output="p"), y, {"p": p}),
    "mondrian_class": lambda y, p: mondrian_class.fit(LAC, y, {"p": p}),
}


@pytest.mark.parametrize("what", UNKNOWN)
@pytest.mark.parametrize("learner", BINARY)
def test_two_classes(learner, what):
    with pytest.raises(BadData, match=" "):
        BINARY[learner](*UNKNOWN[what](Y, P))


@pytest.mark.parametrize("what", UNKNOWN)
@pytest.mark.parametrize("learner", SEVERAL)
def test_several_classes(learner, what):
    with pytest.raises(BadData, match=" "):
        SEVERAL[learner](*UNKNOWN[what](OF_MANY, MANY))


@pytest.mark.parametrize("learner", sorted(set(SEVERAL) - {"temperature", "vector_scaling"}))
@pytest.mark.parametrize("answers", [MANY * 0.7, np.log(MANY)], ids=["sums", "logits"])
def test_rows_that_do_not_add_up_to_1(learner, answers):
    with pytest.raises(BadData, match=" "):
        SEVERAL[learner](OF_MANY, answers)


@pytest.mark.parametrize("what", sorted({*UNKNOWN} - {"below 0", "above 1", "huge", "one class", "an infinity"}))
def test_a_threshold_with_a_guarantee(what):
    labels, sure = UNKNOWN[what](Y, P)
    for learn in (lambda: certify(sure, labels, 0.3, 0.1, Random(0)), lambda: bound_at(sure, labels, 0.2, 0.1)):
        with pytest.raises(BadData, match=" "):
            learn()


@pytest.mark.parametrize("what", ["no row", "a NaN", "an infinity", "no label", "a label too few", "answers of text"])
def test_an_interval(what):
    labels, answers = UNKNOWN[what](Y, P)
    with pytest.raises(BadData, match=" "):
        fit(Absolute(output="p"), labels, {"p": answers})


@pytest.mark.parametrize("learner", sorted(set(BINARY) - {"calibrated"}))
def test_fewer_rows_than_a_promise_needs(learner):
    with pytest.raises(BadData, match="rows"):
        BINARY[learner](Y[:6], P[:6])


@pytest.mark.parametrize("learner", BINARY)
def test_rows_that_are_all_alike_are_learnt_from_without_a_fuss(learner):
    assert BINARY[learner](Y, np.full(N, 0.5)) is not None
