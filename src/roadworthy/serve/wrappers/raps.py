"""Prediction sets as `aps` makes them, with a penalty on classes far down, which keeps the largest sets small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from roadworthy.core.wire import Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.conformal.classes import class_probabilities, true_classes
from roadworthy.serve.conformal.fitting import fit
from roadworthy.serve.conformal.ranked import Ranking
from roadworthy.serve.conformal.thresholds import rank_of
from roadworthy.serve.fold import Arrays
from roadworthy.serve.wrappers.aps import Aps


@wrapper("raps")
@dataclass(frozen=True)
class Raps(Aps):
    """Sets as `aps` has them, without long tails: classes far down cost a penalty.

    Angelopoulos et al. 2021, "Uncertainty sets for image classifiers": each rank beyond `free` adds `penalty` to the
    score. `tuned` chooses the two on rows of their own. The other settings are those of `aps`.
    """

    penalty: float = 0.01
    free: int = 5

    def __post_init__(self) -> None:
        if self.penalty < 0 or self.free < 0:
            raise ValueError(f"`penalty` and `free` must be 0 or more, got {self.penalty!r} and {self.free!r}")

    @classmethod
    def example(cls) -> tuple[Raps, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        made = cls(0.7, ("a", "b", "c"), "scores", penalty=0.1, free=1)
        return made, {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    @property
    def ranking(self) -> Ranking:
        """How classes are scored."""
        return Ranking(self.randomised, self.seed, self.penalty, self.free)


def tuned(
    leaf: Raps,
    labels: ArrayLike,
    outputs: Arrays,
    target: float = 0.9,
    penalties: tuple[float, ...] = (0.001, 0.01, 0.1, 0.2, 0.5),
) -> Raps:
    """The leaf with the settings of the smallest sets on these rows, which `fit` must not see afterwards.

    As in the paper: `free` is the rank within which the truth lies for `target` of the rows, and `penalty` is chosen
    among a few.
    """
    leaf.check(outputs, labels)
    p, y = class_probabilities(outputs, leaf.output), true_classes(labels)
    ranks = np.sort((p > p[np.arange(len(y)), y][:, None]).sum(axis=1) + 1)
    free = int(ranks[min(len(ranks), rank_of(len(ranks), target)) - 1])
    tried = [fit(replace(leaf, penalty=penalty, free=free), y, outputs, target) for penalty in penalties]
    sizes = [float((made.ranking.scores(p) <= made.threshold).sum(axis=1).mean()) for made in tried]
    return replace(leaf, penalty=penalties[int(np.argmin(sizes))], free=free)
