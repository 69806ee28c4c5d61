"""The laws of explainers: parts that add up, nothing for what does not count, and the Shapley values themselves.

Each check raises AssertionError with a sentence. `check_explainer` runs them all, in about a second.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.insides import Columns, Explained, Insides
from roadworthy.observe.base import Explainer
from roadworthy.observe.explanation.attributions import Attribution
from roadworthy.testing.leaves import check_no_global_chance, example_of

Predict = Callable[[Columns], NDArray[np.float64]]

ROWS = 12
NAMES = ("a", "b", "c", "unused")
# Sums of float32 differ in the last places.
CLOSE = 1e-5
# A sampled part may lie so many standard errors off; there are 8 parts in all.
ERRORS = 5.0


def check_explainer(leaf: type) -> None:
    """All of the laws, on what the class method `example` of an explainer makes, else on all settings at default."""
    explainer: Explainer = example_of(leaf, leaf, "an explainer")
    models = [model for model in _models() if explainer(model, *_rows(), np.random.default_rng(0)) is not None]
    assert models, f"{explainer!r} explains neither a linear model, nor trees, nor a plain function"
    for model in models:
        check_adds_up(explainer, model)
        check_ignores_the_unused(explainer, model)
        check_is_shapley(explainer, model)
        check_is_pure(explainer, model)


def check_adds_up(explainer: Explainer, model: Explained) -> None:
    """Baseline and parts make the score, and the score is the model's answer."""
    found = _of(explainer, model)
    total = found.baseline + math.fsum(part.value for part in found.parts)
    assert abs(total - found.score) < CLOSE, f"{explainer!r}: the parts make {total}, the score is {found.score}"
    answer = float(model.predict(_rows()[0])[0])
    assert abs(_answer(found) - answer) < CLOSE, f"{explainer!r}: the score means {_answer(found)}, not {answer}"


def check_ignores_the_unused(explainer: Explainer, model: Explained) -> None:
    """An input that changes no answer has no part in one."""
    part = _parts(_of(explainer, model)).get("unused", 0.0)
    assert abs(part) < CLOSE, f"{explainer!r} gives {part} to an input that changes nothing"


def check_is_shapley(explainer: Explainer, model: Explained) -> None:
    """The parts are the interventional Shapley values, exactly or within what sampling allows."""
    found = _of(explainer, model)
    truth = shapley(model, found.unit)
    for part in found.parts:
        error = abs(part.value - truth[part.where])
        allowed = CLOSE if found.exact else ERRORS * (part.high - part.low) / (2 * 1.96) + CLOSE
        told = f"{explainer!r} gives {part.value} to {part.where!r}, its Shapley value is {truth[part.where]}"
        assert error <= allowed, told


def check_is_pure(explainer: Explainer, model: Explained) -> None:
    """The same rows and the same chance give the same parts, and draw on no other chance."""
    check_no_global_chance(explainer, lambda: _of(explainer, model))
    first, second = (_parts(_of(explainer, model)) for _ in range(2))
    assert first == second, f"{explainer!r} says another thing each time: {first}, then {second}"


def shapley(model: Explained, unit: str) -> dict[str, float]:
    """The values by their definition: over all subsets of the inputs, the others drawn from the background."""
    row, background = _rows()
    worth = {
        known: float(np.mean(_scores(model, {n: _known(n in known, row[n], background[n]) for n in NAMES}, unit)))
        for size in range(len(NAMES) + 1)
        for known in itertools.combinations(NAMES, size)
    }
    return {name: sum(_gain(worth, known, name) for known in worth if name not in known) for name in NAMES}


def _gain(worth: dict[tuple[str, ...], float], known: tuple[str, ...], name: str) -> float:
    both = tuple(one for one in NAMES if one in known or one == name)
    weight = math.factorial(len(known)) * math.factorial(len(NAMES) - len(known) - 1) / math.factorial(len(NAMES))
    return weight * (worth[both] - worth[known])


def _known(known: bool, value: NDArray[np.float64], background: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.repeat(value, ROWS, axis=0) if known else background


def _scores(model: Explained, columns: Columns, unit: str) -> NDArray[np.float64]:
    answers = model.predict(columns)
    return np.log(answers / (1 - answers)) if unit == "logit" else answers


def _of(explainer: Explainer, model: Explained) -> Attribution:
    found = explainer(model, *_rows(), np.random.default_rng(1))
    assert found is not None
    return found


def _parts(found: Attribution) -> dict[str, float]:
    return {part.where: part.value for part in found.parts}


def _answer(found: Attribution) -> float:
    return 1 / (1 + math.exp(-found.score)) if found.unit == "logit" else found.score


def _rows() -> tuple[Columns, Columns]:
    rng = np.random.default_rng(7)
    row = {name: np.array([[0.4 + k]]) for k, name in enumerate(NAMES)}
    return row, {name: rng.normal(size=(ROWS, 1)) for name in NAMES}


def _matrix(columns: Columns) -> NDArray[np.float64]:
    return np.concatenate([columns[name] for name in NAMES], axis=1)


def _models() -> list[Explained]:
    """A logistic model, two small trees, and a function that mixes its inputs."""
    weights = np.array([1.0, -2.0, 0.5, 0.0])
    linear = Insides("linear", _matrix, NAMES, (weights, 0.3), "logit")
    trees = Insides("trees", _matrix, NAMES, {"trees": [_stump(0, 0.1), _stump(1, -0.2)]}, "1")
    return [
        Explained(lambda columns: 1 / (1 + np.exp(-(_matrix(columns) @ weights + 0.3))), linear),
        Explained(_walked, trees),
        Explained(lambda columns: _matrix(columns)[:, 0] * _matrix(columns)[:, 1] + np.sin(_matrix(columns)[:, 2])),
    ]


def _stump(feature: int, threshold: float) -> dict[str, NDArray[np.float64]]:
    return {
        "children_left": np.array([1, -1, -1]),
        "children_right": np.array([2, -1, -1]),
        "children_default": np.array([1, -1, -1]),
        "features": np.array([feature, -2, -2]),
        "thresholds": np.array([threshold, 0.0, 0.0]),
        "values": np.array([[0.0], [1.0], [3.0]]),
        "node_sample_weight": np.ones(3),
    }


def _walked(columns: Columns) -> NDArray[np.float64]:
    matrix = _matrix(columns)
    return np.where(matrix[:, 0] <= 0.1, 1.0, 3.0) + np.where(matrix[:, 1] <= -0.2, 1.0, 3.0)
