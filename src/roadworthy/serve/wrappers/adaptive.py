"""Prediction sets or intervals whose threshold follows late labels, so that coverage stays as promised under drift."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from roadworthy.core.catalog import read_plan, write_plan
from roadworthy.core.dials import Dial
from roadworthy.core.errors import SpecError
from roadworthy.core.record import Record
from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.conformal.base import SetLeaf, checked_scores, set_leaf
from roadworthy.serve.conformal.coverage import held_truth
from roadworthy.serve.conformal.following import Following, Seen, Stand
from roadworthy.serve.conformal.holding import held
from roadworthy.serve.conformal.thresholds import enough, thinned, threshold_at
from roadworthy.serve.fold import Arrays

# Wrappers with a threshold for each class, segment or weight.
OF_MANY = ("mondrian_class", "mondrian_segment", "weighted")


@wrapper("adaptive")
@dataclass(frozen=True)
class Adaptive:
    """Sets or intervals that keep their coverage under drift: alpha follows late labels.

    `leaf` is the plan of the sets or intervals, `scores` those of the labelled rows of the fit, in their order. The
    `rule` and what belongs to it are those of `serve.conformal.following.Following`: `aci`, or `dtaci`; with a
    `window`, thresholds come from the scores of the last so many labels. The alpha in force is the dial named `dial`;
    each answer's path tells it. An alpha of 0 or less holds everything: an interval from -infinity to infinity, which
    JSON writes as null.
    """

    leaf: Any
    scores: tuple[float, ...] = ()
    target: float = 0.9
    rule: Literal["aci", "dtaci"] = "aci"
    step: float = 0.005
    steps: tuple[float, ...] = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)
    horizon: int = 500
    window: int = 0
    dial: str = "adaptive"
    rows: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise ValueError(f"`target` must be between 0 and 1, got {self.target!r}")
        if not 0 < self.step < 1 or not self.steps or not all(0 < step < 1 for step in self.steps):
            raise ValueError(f"`step` and `steps` must be between 0 and 1, got {self.step!r} and {self.steps!r}")
        if self.window < 0 or self.horizon < 1:
            raise ValueError(f"`window` is 0 or more rows, `horizon` 1 or more, got {self.window!r}, {self.horizon!r}")

    def __call__(self, inner: Handler) -> Adapting:
        """The handler that adds sets or intervals to what `inner` answers, and can be turned."""
        return Adapting(inner, self)

    @classmethod
    def example(cls) -> tuple[Adaptive, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        made = cls({"lac": {"output": "scores"}}, (0.2, 0.5, 0.8), 0.5)
        return made, {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    @cached_property
    def sets(self) -> SetLeaf:
        """What makes sets of a threshold. Raises SpecError for sets of several thresholds: one alpha moves them all."""
        name, _ = read_plan(self.leaf)
        if name in OF_MANY:
            raise SpecError(
                f"`adaptive` moves one threshold for all rows, and {name!r} has several: give it `lac`, `aps`, `raps`, "
                f"`absolute`, `normalised` or `cqr` as `leaf`, or serve {name!r} alone, whose thresholds stay"
            )
        return set_leaf(self.leaf)

    @property
    def following(self) -> Following:
        """The rule that alpha follows by."""
        return Following(self.target, self.rule, self.step, self.steps, self.horizon, self.window)

    def stand(self, dial: Dial | None) -> Stand:
        """What a dial says; before the first label, where the fit left it."""
        return self.following.start(self.scores) if dial is None else Stand.of(dial.value)

    def threshold(self, stand: Stand) -> float:
        """The threshold that is in force."""
        return threshold_at(sorted(stand.recent) if self.window else self._ordered, 1.0 - stand.alpha)

    def follow(self, rows: Sequence[Record], before: Dial | None, now: float, position: int = 0) -> Dial | None:
        """The dial after rows whose labels became known, in that order; see `core.dials.Follower`.

        A row without a set, such as one that was answered before there were any, counts as what it would get now. Rows
        that failed, or whose outputs or label make no score, are left out.
        """
        seen = self._seen(rows)
        if not seen:
            return None
        stand = self.following.follow(self.stand(before), self._ordered, seen)
        n = len(seen) + (0 if before is None else before.n)
        left = f", {len(rows) - len(seen)} more made no score" if len(rows) > len(seen) else ""
        missed = sum(one.held is False for one in seen)
        because = f"{missed} of the last {len(seen)} sets missed the truth{left}"
        return Dial(self.dial, now, stand.value(), n, because, position)

    def _seen(self, rows: Sequence[Record]) -> list[Seen]:
        classes = getattr(self.sets, "classes", ())
        usable = [row for row in rows if row.error is None and row.label is not None and self._answers(row)]
        found = []
        for row in usable:
            outputs = {name: np.array([row.outputs[name]], np.float64) for name in self.sets.reads}
            score = self._score(outputs, row.label)
            if math.isfinite(score):
                found.append(Seen(score, held_truth(row, classes)))
        return found

    def _score(self, outputs: Arrays, label: float | None) -> float:
        """How strange the label was; NaN where it is no class of this model."""
        label = label or 0.0
        if hasattr(self.sets, "classes") and not (label >= 0 and label.is_integer()):
            return math.nan
        try:
            return float(self.sets.true_scores(outputs, [label])[0])
        except IndexError:
            return math.nan

    def _answers(self, row: Record) -> bool:
        return all(row.outputs.get(name) is not None for name in self.sets.reads)

    @cached_property
    def _ordered(self) -> list[float]:
        return sorted(self.scores)


class Adapting:
    """The handler of `Adaptive`: it holds by the threshold that its dial says. `turn` may come at any time."""

    def __init__(self, inner: Handler, leaf: Adaptive) -> None:
        self.inner, self.leaf, self.dial = inner, leaf, leaf.dial
        self._sets = leaf.sets
        self._put(leaf.stand(None), 0)

    def __repr__(self) -> str:
        return f"{self.leaf!r}({self.inner!r})"

    async def __call__(self, request: Request) -> Response:
        """The inner answer with its sets or intervals, and a step that tells the alpha they were made with."""
        response = await self.inner(request)
        return held(self._sets, response, self._threshold, self._step)

    def turn(self, dial: Dial) -> None:
        """Hold by what the dial says, from the next answer on."""
        self._put(self.leaf.stand(dial), dial.n)

    def _put(self, stand: Stand, n: int) -> None:
        self._threshold = self.leaf.threshold(stand)
        self._step = Step("adaptive", f"alpha {stand.alpha:.4f}, {n:,} labels")


def fit(
    leaf: Any, labels: ArrayLike, outputs: Arrays, target: float = 0.9, most: int = 1000, **settings: Any
) -> Adaptive:
    """The scores of labelled rows, in the order of their labels, with the settings of the rule.

    Of many rows, `most` scores stand for all, or the last ones where there is a `window`. Raises BadData for rows that
    cannot promise the target.
    """
    scores = checked_scores(leaf, labels, outputs).tolist()
    enough(len(scores), target)
    window = int(settings.get("window", 0))
    if window:
        enough(window, target, "the window")
    kept = (
        tuple(scores[-window:]) if window else tuple(scores) if len(scores) <= most else thinned(sorted(scores), most)
    )
    return Adaptive(write_plan(leaf), kept, target, rows=len(scores), **settings)
