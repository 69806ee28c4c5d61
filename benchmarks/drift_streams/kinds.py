"""Drifts of known kinds injected into a made-up application, and what is said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import proportion
from roadworthy.core.window import Window
from roadworthy.observe.drift.drift_kind import Kind, Kinds

Floats = NDArray[np.float64]
KINDS: tuple[Kind, ...] = ("none", "inputs", "labels", "concept", "upstream fault")
REFERENCE_ROWS = 2000
SIZES = (1000, 2000, 4000)
# What may be said where no label is known: another mix of outcomes is one way for inputs to move, and nobody can see
# that the same inputs lead to other outcomes.
WITHOUT_LABELS: dict[Kind, tuple[Kind, ...]] = {
    "none": ("cannot tell", "none"),
    "inputs": ("inputs",),
    "labels": ("labels", "inputs"),
    "concept": ("cannot tell",),
    "upstream fault": ("upstream fault",),
}
PLACES = np.array(["north", "south", "east", "west"], object)
COEFFICIENTS = np.array([1.0, -0.8, 0.6, 0.0])


def inputs_of(n: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Two numbers that go together, a skewed one, an idle one and a category."""
    age = rng.normal(size=n)
    return {
        "age": 40 + 12 * age,
        "load": 20 + 5 * (0.5 * age + np.sqrt(0.75) * rng.normal(size=n)),
        "amount": np.exp(1 + 0.8 * rng.normal(size=n)),
        "noise": rng.normal(size=n),
        "place": rng.choice(PLACES, n, p=[0.4, 0.3, 0.2, 0.1]),
    }


def standard(columns: dict[str, NDArray[Any]]) -> Floats:
    """The numbers as the truth sees them (n, 4)."""
    parts = [(columns["age"] - 40) / 12, (columns["load"] - 20) / 5]
    parts += [(np.log(columns["amount"]) - 1) / 0.8, columns["noise"]]
    return np.stack(parts, axis=1)


def chance(columns: dict[str, NDArray[Any]], coefficients: Floats = COEFFICIENTS, offset: float = 0.0) -> Floats:
    """The true probability, with a product of two inputs in it that the model does not know."""
    x = standard(columns)
    logit = x @ coefficients + 0.3 * x[:, 0] * x[:, 2] + 0.7 * (columns["place"] == "north") - 1.0 + offset
    return np.asarray(1 / (1 + np.exp(-logit)))


def model(seed: int) -> Callable[[dict[str, NDArray[Any]]], Floats]:
    """A logistic regression on 5,000 rows of its own: good, and a little wrong everywhere, as models are."""
    from sklearn.linear_model import LogisticRegression

    def matrix(columns: dict[str, NDArray[Any]]) -> Floats:
        # Nulls become the middle, and a category that it never saw none of those that it knows.
        numbers = [np.nan_to_num(columns[n], nan=m) for n, m in (("age", 40), ("load", 20), ("noise", 0))]
        numbers.append(np.log(np.maximum(np.nan_to_num(columns["amount"], nan=2.7), 1e-3)))
        return np.column_stack([*numbers, *(columns["place"] == place for place in PLACES)]).astype(np.float64)

    rng = np.random.default_rng(seed)
    learnt = inputs_of(5000, rng)
    fitted = LogisticRegression(C=1.0, max_iter=2000).fit(matrix(learnt), rng.random(5000) < chance(learnt))
    return lambda columns: np.asarray(fitted.predict_proba(matrix(columns))[:, 1])


def injected(kind: Kind, n: int, rng: np.random.Generator) -> tuple[dict[str, NDArray[Any]], Floats]:
    """Inputs as they arrive, and outcomes."""
    columns = inputs_of(n, rng)
    if kind == "labels":
        return other_mix(n, rng)
    if kind == "inputs":
        columns = other_inputs(columns, rng)
    offset, coefficients = 0.0, COEFFICIENTS
    if kind == "concept":
        offset, coefficients = other_concept(rng)
    outcomes = (rng.random(n) < chance(columns, coefficients, offset)).astype(np.float64)
    return (broken(columns, rng) if kind == "upstream fault" else columns), outcomes


def other_inputs(columns: dict[str, NDArray[Any]], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    n, size = len(columns["age"]), rng.uniform(0.3, 1.0)
    way = rng.integers(4)
    if way == 0:
        return {**columns, "age": columns["age"] + 12 * size, "load": columns["load"] + 5 * size}
    if way == 1:
        return {**columns, "amount": columns["amount"] * np.exp(0.8 * size), "noise": columns["noise"] - size}
    if way == 2:
        place = rng.choice(PLACES, n, p=[0.1, 0.3, 0.2, 0.4])
        return {**columns, "place": place, "load": columns["load"] * (1 + 0.1 * size)}
    return {**columns, "noise": columns["noise"] * (1 + size), "age": 40 + (columns["age"] - 40) * (1 + 0.4 * size)}


def other_concept(rng: np.random.Generator) -> tuple[float, Floats]:
    way = rng.integers(3)
    if way == 0:
        return float(rng.choice([-1, 1]) * rng.uniform(0.6, 1.5)), COEFFICIENTS
    if way == 1:
        return 0.0, COEFFICIENTS * np.array([-0.5, 1.0, 1.0, 1.0])
    return 0.0, np.array([0.3, -0.8, -0.6, 1.0])


def other_mix(n: int, rng: np.random.Generator) -> tuple[dict[str, NDArray[Any]], Floats]:
    """Rows of each outcome as ever, in another mix: the rate times or over two to three."""
    pool = inputs_of(12 * n, rng)
    outcomes = (rng.random(12 * n) < chance(pool)).astype(np.float64)
    rate = outcomes.mean()
    wanted = rate / rng.uniform(1.8, 3.0) if rng.random() < 0.5 else min(0.85, rate * rng.uniform(1.4, 2.2))
    hits = int(rng.binomial(n, wanted))
    rows = np.concatenate([np.flatnonzero(outcomes == 1)[:hits], np.flatnonzero(outcomes == 0)[: n - hits]])
    rows = rng.permutation(rows)
    return {name: values[rows] for name, values in pool.items()}, outcomes[rows]


def broken(columns: dict[str, NDArray[Any]], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    n, way = len(columns["age"]), rng.integers(6)
    some = rng.random(n) < rng.uniform(0.25, 0.9)
    if way == 0:
        return {**columns, "load": np.where(some, np.nan, columns["load"])}
    if way == 1:
        return {**columns, "age": np.full(n, 40.0)}
    if way == 2:
        return {**columns, "amount": columns["amount"] * 100}
    if way == 3:
        return {
            **columns,
            "place": np.where(some, np.char.upper(columns["place"].astype(str)), columns["place"]).astype(object),
        }
    if way == 4:
        return {**columns, "age": np.where(some, -1.0, columns["age"])}
    return {
        **columns,
        "load": np.where(np.arange(n) > n * rng.uniform(0.2, 0.5), columns["load"] - 15, columns["load"]),
    }


def windows(kind: Kind, seed: int) -> tuple[Window, Window]:
    """A reference whose rows the model did not learn from, and what arrives under a drift of this kind."""
    rng = np.random.default_rng(seed)
    answer = model(seed % 7)
    n = SIZES[seed % len(SIZES)]
    sides = injected("none", REFERENCE_ROWS, rng), injected(kind, n, rng)
    return tuple(  # type: ignore[return-value]
        Window(columns, {"probability": answer(columns)}, labels, np.arange(len(labels), dtype=np.float64))
        for columns, labels in sides
    )


def confusion(cases: int, labelled: float) -> tuple[dict[Kind, Counter[Kind]], Measurement]:
    """What was said of each injected kind, `cases` a kind, and how often it was right."""
    told: dict[Kind, Counter[Kind]] = {kind: Counter() for kind in KINDS}
    right = 0
    for k, kind in enumerate(KINDS):
        for case in range(cases):
            reference, current = windows(kind, 1000 * k + case)
            unknown = np.random.default_rng(case).random(current.n) >= labelled
            current.labels[unknown] = np.nan
            said = Kinds()(reference, current).kind
            told[kind][said] += 1
            right += said == kind if labelled else said in WITHOUT_LABELS[kind]
    name = "drift_kind_right" if labelled else "drift_kind_right_without_labels"
    return told, proportion(name, right, cases * len(KINDS), where=f"{labelled:.0%} labelled" if labelled else "")
