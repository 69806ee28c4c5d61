"""Abstained says how many rows a model left to others, and how right it was on the rest."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import proportion

Mask = NDArray[np.bool_]


class Abstained(Struct, frozen=True):
    """`flagged` is the share of rows that the model abstained from; the accuracies are of rows whose truth is known.

    An answer that is withheld is not known. A task in which nothing is right or wrong has no accuracies.
    """

    flagged: Measurement
    accuracy_answered: Measurement
    accuracy_flagged: Measurement


def abstained(flagged: Mask, right: Mask, known: Mask, failed: Mask) -> Abstained:
    """Of rows (n,) each: was it flagged, is its answer right, is that known, and did it fail for another reason?"""
    asked = ~failed

    def share(name: str, rows: Mask) -> Measurement:
        return proportion(name, int((right & rows).sum()), int(rows.sum()))

    return Abstained(
        proportion("flagged", int((flagged & asked).sum()), int(asked.sum())),
        share("accuracy_answered", known & ~flagged),
        share("accuracy_flagged", known & flagged),
    )
