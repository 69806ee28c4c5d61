"""Prediction sets or intervals with a threshold of its own for each segment of the traffic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, BadRequest, nearest
from roadworthy.core.measure import Measurement
from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.conformal.base import SetLeaf, Threshold, checked_scores, set_leaf
from roadworthy.serve.conformal.holding import held, stepped
from roadworthy.serve.conformal.segments import segments_of
from roadworthy.serve.conformal.thresholds import enough, promise, threshold_at
from roadworthy.serve.fold import Arrays

# The name under which the threshold of all rows together stands; no segment is called so.
ALL = ""


@wrapper("mondrian_segment")
@dataclass(frozen=True)
class MondrianSegment:
    """Sets or intervals that hold the truth as often as promised in each segment (Mondrian).

    Vovk, Gammerman & Shafer 2005. `leaf` is the plan of the sets or intervals, `by` a tag of the request or one of its
    inputs, `thresholds` has one for each of its values ("" for all rows together), from as many labelled rows as `rows`
    says. A segment never seen gets the most cautious of all thresholds, and its path tells so; where `unseen` is
    "refuse", the request is refused. `fit` finds the thresholds.
    """

    leaf: Any
    by: str
    thresholds: Mapping[str, float] = field(default_factory=dict)
    unseen: Literal["cautious", "refuse"] = "cautious"
    target: float = 0.9
    rows: Mapping[str, int] = field(default_factory=dict)

    def __call__(self, inner: Handler) -> Handler:
        """The handler that adds sets or intervals to what `inner` answers."""
        return partial(self._ask, inner)

    def rehearse(self, outputs: Arrays) -> Arrays:
        """The outputs with sets or intervals that hold everything. Raises where the leaf cannot use them."""
        return self._sets.hold(outputs, math.inf)

    @classmethod
    def example(cls) -> tuple[MondrianSegment, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        made = cls({"lac": {"output": "scores"}}, "x", {"": 0.6, "1": 0.7, "30": 0.5})
        return made, {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    async def _ask(self, inner: Handler, request: Request) -> Response:
        segments = segments_of(request, self.by)
        steps = [None if segment in self._known else self._told(segment) for segment in segments]
        threshold = self._threshold(segments)
        return stepped(held(self._sets, await inner(request), threshold), steps)

    def _threshold(self, segments: Sequence[str]) -> Threshold:
        found = [self._known.get(segment, self._cautious) for segment in segments]
        return found[0] if len(set(found)) == 1 else np.array(found, np.float64).reshape(-1, 1)

    def _told(self, segment: str) -> Step:
        """What the path of a row of an unknown segment says. Raises BadRequest where those are refused."""
        if self.unseen == "refuse":
            has = ", ".join(map(repr, sorted(self._known)))
            raise BadRequest(
                f"no labelled rows of {self.by} {segment!r} stand behind a prediction set"
                f"{nearest(segment, self._known)} (known: {has}); fit `mondrian_segment` with rows of it, or set "
                f"`unseen: cautious`"
            )
        return Step(
            "mondrian_segment",
            f"no labelled rows of {self.by} {segment!r}: the most cautious threshold of all, {self._cautious:.4g}",
        )

    @cached_property
    def _known(self) -> dict[str, float]:
        return {segment: threshold for segment, threshold in self.thresholds.items() if segment != ALL}

    @cached_property
    def _cautious(self) -> float:
        return max(self.thresholds.values(), default=float("inf"))

    @cached_property
    def _sets(self) -> SetLeaf:
        return set_leaf(self.leaf)


def fit(
    leaf: Any,
    labels: ArrayLike,
    outputs: Arrays,
    by: str,
    segments: Sequence[str],
    target: float = 0.9,
    unseen: Literal["cautious", "refuse"] = "cautious",
) -> MondrianSegment:
    """A threshold for each segment, and one for all rows, from the segment of each labelled row.

    Raises BadData where a segment has too few rows for the target, or a row none.
    """
    scores, names = checked_scores(leaf, labels, outputs), np.array(segments, object)
    if names.shape != scores.shape or (names == ALL).any():
        raise BadData(
            f"each of the {len(scores)} rows needs the name of a segment in {by!r}, got {names.shape} of them, "
            f"{int((names == ALL).sum())} empty; leave rows of no segment out, they get the cautious threshold"
        )
    groups = {ALL: scores, **{name: scores[names == name] for name in sorted(set(names.tolist()))}}
    for name, own in groups.items():
        enough(len(own), target, f"{by} {name!r}" if name else "")
    thresholds = {name: threshold_at(np.sort(own).tolist(), target) for name, own in groups.items()}
    return MondrianSegment(
        write_plan(leaf), by, thresholds, unseen, target, {name: len(own) for name, own in groups.items()}
    )


def promised(fitted: MondrianSegment) -> list[Measurement]:
    """The coverage to expect in each segment, with its range at 95 % confidence; all rows together come first."""
    return [promise(n, fitted.target, name and f"{fitted.by}={name}") for name, n in fitted.rows.items()]
