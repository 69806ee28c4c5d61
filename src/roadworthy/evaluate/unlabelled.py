"""Unlabelled says what answers tell without their labels: how sure the model is, and where two models part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.core.stats import mean, nothing, proportion
from roadworthy.evaluate.scoring import are_probabilities, chosen, known

Array = NDArray[Any]


def confidence(answers: Array, task: Task, unsure: float = 0.7, where: str = "") -> tuple[Measurement, ...]:
    """Mean confidence, its entropy (bits) and the share of answers below `unsure`; nothing where none is stated.

    Confidence is the probability of the class decided on: its mean is the accuracy to expect of a calibrated model.
    """
    stated = answers[known(answers)] if task in ("binary", "multiclass") else np.empty(0)
    if not len(stated) or not are_probabilities(stated):
        return nothing("confidence", where=where), nothing("entropy", "bits", where), nothing("unsure", where=where)
    each = np.stack([1 - stated, stated], axis=1) if stated.ndim == 1 else stated
    surest = each.max(axis=1)
    entropy = -(each * np.log2(np.maximum(each, 1e-12))).sum(axis=1)
    below = proportion("unsure", int((surest < unsure).sum()), len(surest), where)
    return (
        mean("confidence", surest, where),
        mean("entropy", entropy, where, "bits"),
        replace(below, conditions={"below": unsure}),
    )


def disagreement(one: Array, other: Array, task: Task, where: str = "") -> tuple[Measurement, ...]:
    """How often two models (or two runs) decide otherwise on the same rows, and how far their answers lie apart.

    Where one of two decides rightly, the other does not: their mean error is at least half of the disagreement.
    For a regression only the distance can be said.
    """
    both = known(one, other)
    one, other = one[both], other[both]
    found = tuple(_disagreements(one, other, task, where))
    return found if len(one) else tuple(nothing(m.name, m.unit, where) for m in found)


def _disagreements(one: Array, other: Array, task: Task, where: str) -> Iterator[Measurement]:
    if task == "generation":
        differ = np.array([a.strip() != b.strip() for a, b in zip(one, other, strict=True)], dtype=bool)
        yield proportion("disagreement", int(differ.sum()), len(differ), where)
        return
    if task in ("binary", "multiclass") and len(one):
        differ = chosen(one) != chosen(other)
        yield proportion("disagreement", int(differ.sum()), len(differ), where)
    elif task != "regression":
        yield nothing("disagreement", where=where)
    apart = np.abs(one - other).reshape(len(one), -1).sum(axis=1) if len(one) else np.empty(0)
    # Of probabilities of k classes half of the sum is the total variation distance.
    yield mean("distance", apart / 2 if one.ndim == 2 else apart, where)
