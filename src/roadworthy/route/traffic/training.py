"""What recorded traffic gives a router to learn from: compared rows, each with how many it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.route.routers.labelled import Labelled
from roadworthy.route.traffic.traffic import Traffic


@dataclass(frozen=True)
class TrainingRows:
    """Compared rows (n,): was either model right, and the weight that makes them stand for all of the traffic.

    The weights have a mean of 1. `inputs` are the rows' inputs, `segments` their segments.
    """

    inputs: Sequence[Mapping[str, Any]]
    segments: NDArray[np.object_]
    weak_right: NDArray[np.float64]
    strong_right: NDArray[np.float64]
    weights: NDArray[np.float64]
    at: NDArray[np.float64]
    requests: NDArray[np.object_]
    weak_confidence: NDArray[np.float64] | None = None

    def labelled(self, columns: Sequence[str], by_segment: bool = True) -> Labelled:
        """The rows as `routers.fitting.fit` takes them, with these inputs; the rows of a request are one group.

        Where every cheap answer came with a confidence, that is what is known after the answer.
        """
        found = {name: [inputs.get(name) for inputs in self.inputs] for name in columns}
        segments = [str(name) for name in self.segments] if by_segment and all(self.segments) else ()
        sure = self.weak_confidence
        after = {"confidence": sure} if sure is not None and np.isfinite(sure).all() else {}
        groups = self.requests.tolist()
        return Labelled(found, self.strong_right, self.weak_right, segments, self.weights, after, groups)

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.at)


def training_rows(traffic: Traffic, since: float = -np.inf, least: int = 50) -> TrainingRows:
    """The rows from `since` on of which both answers were seen, at a chance that was written down.

    Rows that were only escalated, or only kept, are no comparison and are left out; so are those whose chance of both
    was 0 (a stand-in for a failed model). Raises BadData where fewer than `least` are left, or where one model was
    right in all and the other too: there is nothing to tell them apart by.
    """
    weights = traffic.comparison_weights
    rows = np.flatnonzero(np.isfinite(weights) & (traffic.at >= since))
    if len(rows) < least:
        raise BadData(
            f"a router needs at least {least} compared and labelled rows, got {len(rows)} of {traffic.n}; "
            "raise `audit` or its cap, or wait for labels"
        )
    part = traffic.take(rows)
    if (part.weak_right == part.strong_right).all():
        raise BadData(f"both models were right, or wrong, together in all of {len(rows)} compared rows")
    chosen = weights[rows]
    scaled = chosen / chosen.mean()
    columns = (part.segments, part.weak_right, part.strong_right, scaled, part.at, part.requests, part.weak_confidence)
    return TrainingRows(part.inputs, *columns)
