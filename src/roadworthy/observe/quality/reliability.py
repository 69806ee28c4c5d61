"""Reliability: how often what was stated to be so probable came true, and how often a prediction set held the label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from roadworthy.core.calibration import Bin, reliability_bins
from roadworthy.core.class_names import class_name
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean, proportion
from roadworthy.observe.quality.answers import Answers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def reliability(answers: Answers, most: int = 10, least_rows: int = 20) -> tuple[Bin, ...]:
    """The reliability diagram of the labelled rows: at most `most` bins of near equal count, each of `least_rows`.

    The event is label 1, or for several classes that the predicted one is right. Numbers have no such diagram.
    """
    known = answers.take(answers.known)
    if answers.kind == "number" or len(known.labels) < least_rows:
        return ()
    stated, event = (known.stated, known.labels) if known.kind == "binary" else (known.sure, known.correct)
    return reliability_bins(stated, event, most, least_rows)


def coverage(
    sets: Sequence[Sequence[str] | None], labels: NDArray[np.float64], classes: Sequence[str] = (), where: str = ""
) -> tuple[Measurement, Measurement]:
    """How often a prediction set held the label, and how many values it had, of the rows that have both.

    `classes` are the names that the sets use, in the order of the labels' numbers; where not said the sets hold the
    numbers themselves.
    """
    held, sizes = [], []
    for given, label in zip(sets, labels.tolist(), strict=True):
        if given is None or label != label:
            continue
        held.append(class_name(label, classes) in given)
        sizes.append(len(given))
    return proportion("coverage", sum(held), len(held), where), mean("set_size", sizes, where, "values")
