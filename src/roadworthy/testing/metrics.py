"""The laws of metrics: nothing gives n=0, perfect is best, order is nothing, and what is unknown does not count."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import Metric

Array = NDArray[Any]
TOLERANCE = 1e-5
CLASSES = 8
WORDS = ("the red bus", "42", "Yes", "a fox jumps over", "no", "1,250", "Zürich", "late")


@dataclass(frozen=True)
class Scene:
    """Labels with answers to them, and the answers that would be perfect; unknown is NaN, or None among text."""

    labels: Array
    answers: Array
    perfect: Array

    def take(self, rows: Array) -> Scene:
        """The same scene with these rows only."""
        return Scene(self.labels[rows], self.answers[rows], self.perfect[rows])


def check_metric(leaf: type) -> None:
    """Run every law on a metric class, for each task that it is for, with its defaults or what `example()` makes.

    `@classmethod def example(cls) -> Metric` is for a leaf whose settings have no defaults. Raises AssertionError with
    the law that is broken.
    """
    made: Metric = leaf.example() if hasattr(leaf, "example") else leaf()
    check_tasks(made)
    for task in made.tasks:
        seen = scene(task)
        for law in (
            check_nothing,
            check_interval,
            check_best,
            check_order,
            check_unknown,
            check_rows,
            check_pure,
            check_more_rows,
        ):
            law(made, seen)


def scene(task: Task, n: int = 240, seed: int = 0) -> Scene:
    """Rows of a task on which the answers are fair: mostly right, never all."""
    rng = np.random.default_rng(seed)
    makers: dict[Task, Callable[[int, np.random.Generator], Scene]] = {
        "binary": _binary,
        "multiclass": _multiclass,
        "regression": _regression,
        "generation": _generation,
    }
    return makers[task](n, rng)


def check_tasks(made: Metric) -> None:
    """A metric says for which tasks it is, and what perfect answers score."""
    known = get_args(Task)
    assert made.tasks, f"{made!r} is for no task: list them in `tasks`"
    assert set(made.tasks) <= set(known), f"{made!r} is for {made.tasks!r}; tasks are {', '.join(known)}"
    assert hasattr(made, "best"), f"{made!r} does not say what perfect answers score: `best`, None where nothing is"


def check_nothing(made: Metric, seen: Scene) -> None:
    """Of no rows nothing is said: NaN, n=0 and open bounds, under the same name and in the same unit."""
    none = seen.take(np.arange(0))
    found, full = made(none.labels, none.answers, "slice"), made(seen.labels, seen.answers)
    told = (found.n, found.low, found.high, found.where)
    assert math.isnan(found.value), f"{made!r} gives {found.value!r} for no rows; it must be NaN"
    assert told == (0, -math.inf, math.inf, "slice"), f"{made!r} gives n, low, high and where {told} for no rows"
    assert (found.name, found.unit) == (full.name, full.unit), f"{made!r} has another name or unit for no rows"


def check_interval(made: Metric, seen: Scene) -> None:
    """The value lies in its interval, which is finite and wider for more confidence; n counts the rows."""
    found = made(seen.labels, seen.answers, "slice")
    assert found.low <= found.value <= found.high, f"{made!r} says {found}: the value is outside of its interval"
    assert math.isfinite(width(found)), f"{made!r} bounds nothing on {found.n} rows: {found}"
    counted = (found.n, found.where)
    assert counted == (len(seen.labels), "slice"), f"{made!r} says n and where {counted} of {len(seen.labels)} rows"
    if "confidence" in {field.name for field in fields(made)}:  # type: ignore[arg-type]
        wide, narrow = (replace(made, confidence=c)(seen.labels, seen.answers) for c in (0.99, 0.8))  # type: ignore[type-var]
        less = width(wide) < width(narrow)
        assert not less, f"{made!r} is surer at a confidence of 0.99 than at 0.8"


def check_best(made: Metric, seen: Scene) -> None:
    """Perfect answers score what `best` says, and fair ones no better."""
    best = made.best
    if best is None:
        return
    perfect, fair = made(seen.labels, seen.perfect), made(seen.labels, seen.answers)
    assert abs(perfect.value - best) <= TOLERANCE, f"{made!r} gives perfect answers {perfect.value!r}, and not {best!r}"
    assert abs(fair.value - best) > TOLERANCE, f"{made!r} gives answers with faults {fair.value!r}, as if perfect"


def check_order(made: Metric, seen: Scene) -> None:
    """The order of the rows does not matter, neither to the value nor to its interval."""
    other = seen.take(np.random.default_rng(1).permutation(len(seen.labels)))
    first, second = made(seen.labels, seen.answers), made(other.labels, other.answers)
    assert _alike(first, second), f"{made!r} depends on the order of the rows: {first} and {second}"


def check_unknown(made: Metric, seen: Scene) -> None:
    """A row without a label, or without an answer, is left out; it is not counted as wrong."""
    labels, answers = seen.labels.copy(), seen.answers.copy()
    labels[::5], answers[1::5] = (None, None) if labels.dtype == object else (np.nan, np.nan)
    kept = seen.take(np.flatnonzero(np.arange(len(labels)) % 5 > 1))
    found, wanted = made(labels, answers), made(kept.labels, kept.answers)
    assert found.n == wanted.n, f"{made!r} counts {found.n} rows where {wanted.n} have a label and an answer"
    assert _alike(found, wanted), f"{made!r} gives {found} with unknown rows, and {wanted} without them"


def check_rows(made: Metric, seen: Scene) -> None:
    """What a metric says of single rows (`rows`, where it has that) is on average what it says of all."""
    rows = getattr(made, "rows", None)
    if rows is None:
        return
    values = np.asarray(rows(seen.labels, seen.answers))
    average, value = float(values.mean()), made(seen.labels, seen.answers).value
    assert abs(average - value) <= TOLERANCE, f"{made!r}: the mean of `rows` is {average!r}, and the value {value!r}"


def check_pure(made: Metric, seen: Scene) -> None:
    """Nothing that is given is written into, and no chance is drawn from generators that the process shares."""
    before, states = seen.take(np.arange(len(seen.labels))), (random.getstate(), repr(np.random.get_state()))
    made(seen.labels, seen.answers)
    same = all(map(np.array_equal, (before.labels, before.answers), (seen.labels, seen.answers)))
    assert same, f"{made!r} writes into the labels or the answers that it was given"
    drawn = (random.getstate(), repr(np.random.get_state())) != states
    assert not drawn, f"{made!r} draws from a generator that the whole process shares"


def check_more_rows(made: Metric, seen: Scene) -> None:
    """Four times the rows make it surer."""
    many = seen.take(np.tile(np.arange(len(seen.labels)), 4))
    few_width, many_width = width(made(seen.labels, seen.answers)), width(made(many.labels, many.answers))
    assert many_width < few_width, f"{made!r} is no surer of four times the rows: {many_width:.3g} and {few_width:.3g}"


def width(found: Measurement) -> float:
    """How wide the interval is."""
    return found.high - found.low


def _alike(one: Measurement, other: Measurement) -> bool:
    pairs = ((one.value, other.value), (one.low, other.low), (one.high, other.high))
    return all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in pairs)


def _binary(n: int, rng: np.random.Generator) -> Scene:
    answers = rng.beta(0.8, 0.8, n)
    labels = (rng.random(n) < answers).astype(np.float64)
    return Scene(labels, answers, labels.copy())


def _multiclass(n: int, rng: np.random.Generator) -> Scene:
    labels = rng.integers(0, CLASSES, n)
    perfect = np.eye(CLASSES)[labels]
    answers = rng.dirichlet(np.ones(CLASSES), n) + 0.1 * perfect
    return Scene(labels.astype(np.float64), answers / answers.sum(axis=1, keepdims=True), perfect)


def _regression(n: int, rng: np.random.Generator) -> Scene:
    labels = rng.normal(20, 5, n)
    return Scene(labels, labels + rng.normal(0.7, 2, n), labels.copy())


def _generation(n: int, rng: np.random.Generator) -> Scene:
    labels = rng.choice(np.array(WORDS, dtype=object), n)
    said = np.array([" ".join([text, *rng.choice(WORDS, rng.integers(0, 3))]) for text in labels], dtype=object)
    return Scene(labels, said, labels.copy())
