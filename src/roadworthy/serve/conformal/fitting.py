"""The one threshold of a set leaf, from labelled rows that its model was not trained on (split conformal)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from roadworthy.core.measure import Measurement
from roadworthy.serve.conformal.base import checked_scores
from roadworthy.serve.conformal.thresholds import enough, promise, threshold_at
from roadworthy.serve.fold import Arrays

Leaf = TypeVar("Leaf")


def fit(leaf: Leaf, labels: ArrayLike, outputs: Arrays, target: float = 0.9) -> Leaf:
    """The leaf (`Lac(classes=...)`, say) with the threshold under which `target` of the truths are held.

    `labels` (n,) are numbers of classes, or the values of a regression; `outputs` are what the leaf will be given. The
    guarantee is on average over all rows like these (exchangeable ones); `promised` tells how far it may be off with
    these very ones. Raises BadData for rows that cannot promise it.
    """
    made: Any = leaf
    scores = np.sort(checked_scores(made, labels, outputs))
    enough(len(scores), target)
    found: Leaf = replace(made, threshold=threshold_at(scores.tolist(), target), target=target, rows=len(scores))
    return found


def promised(leaf: Any) -> Measurement:
    """The coverage to expect of a fitted leaf, with the range in which it lies at 95 % confidence."""
    return promise(leaf.rows, leaf.target)
