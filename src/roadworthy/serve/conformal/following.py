"""The alpha of prediction sets follows late labels, so that they cover as promised while the world drifts.

Pure: a Stand and rows in the order in which their labels became known give the next Stand.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from operator import mul
from typing import Literal, NamedTuple

from roadworthy.serve.conformal.thresholds import share_as_strange

Value = Mapping[str, float | tuple[float, ...]]


class Seen(NamedTuple):
    """A labelled row: how strange the truth was, and whether what was served held it (None: nobody knows)."""

    score: float
    held: bool | None = None


class Stand(NamedTuple):
    """How far the updater has come. `alpha` is in force: what the experts think, plus `offset`.

    `experts` and `weights` are those of DtACI, `recent` the scores of the last rows, in order; all may be empty.
    """

    alpha: float
    offset: float = 0.0
    experts: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    recent: tuple[float, ...] = ()

    def value(self) -> Value:
        """What a Dial holds of it."""
        kept: dict[str, float | tuple[float, ...]] = {"alpha": self.alpha, "offset": self.offset}
        for name in ("experts", "weights", "recent"):
            if getattr(self, name):
                kept[name] = getattr(self, name)
        return kept

    @classmethod
    def of(cls, value: Value) -> Stand:
        """The stand that a Dial's value was made of."""
        lists = (_list(value, name) for name in ("experts", "weights", "recent"))
        return cls(_number(value, "alpha"), _number(value, "offset"), *lists)


class Following(NamedTuple):
    """How alpha follows.

    `aci` (Gibbs & Candes 2021, "Adaptive conformal inference under distribution shift"): after each label,
    alpha += step * ((1 - target) - 1 if the served set missed it). Long-run coverage comes to the target whatever the
    data do, also where labels come late; but what a step undoes is seen only then, so that a step of over about half
    of one over the delay in rows makes alpha swing.

    `dtaci` (Gibbs & Candes 2022, "Conformal inference for online prediction with arbitrary distribution shifts"): one
    such alpha for each of `steps`, judged on what it would hold now, and weighed by how well it did over the last
    `horizon` labels or so. Labels that come late let it cover too little, so the slow sum of `aci`, over what was
    really served, is put on top.

    With a `window`, scores are ranked among those of the last so many labels, not among those of the fit.
    """

    target: float = 0.9
    rule: Literal["aci", "dtaci"] = "aci"
    step: float = 0.005
    steps: tuple[float, ...] = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)
    horizon: int = 500
    window: int = 0

    def start(self, scores: Sequence[float]) -> Stand:
        """Where it begins; `scores` are those of the fit in their order."""
        alpha, many = 1.0 - self.target, len(self.steps)
        recent = tuple(scores[-self.window :]) if self.window else ()
        if self.rule == "aci":
            return Stand(alpha, recent=recent)
        return Stand(alpha, 0.0, (alpha,) * many, (1.0 / many,) * many, recent)

    def follow(self, stand: Stand, ordered: Sequence[float], rows: Iterable[Seen]) -> Stand:
        """The stand after these rows. `ordered` are the scores of the fit, sorted."""
        wanted, (alpha, offset, experts, weights, _) = 1.0 - self.target, stand
        recent = deque(stand.recent)
        table = sorted(recent) if self.window else ordered
        for score, held in rows:
            share = share_as_strange(table, score)
            missed = share <= alpha if held is None else not held
            offset += self.step * (wanted - missed)
            if experts:
                weights = self._weighed(experts, weights, share)
                experts = tuple(
                    one + step * (wanted - (share <= one)) for one, step in zip(experts, self.steps, strict=True)
                )
            alpha = offset + (sum(map(mul, experts, weights)) if experts else wanted)
            if self.window and isinstance(table, list):
                _move(recent, table, score, self.window)
        return Stand(alpha, offset, experts, weights, tuple(recent))

    def _weighed(self, experts: Sequence[float], weights: Sequence[float], share: float) -> tuple[float, ...]:
        """The weights after a row: exponential in the pinball loss, and mixed a little, so that none is lost."""
        alpha, many, rows = 1.0 - self.target, len(experts), self.horizon
        spread = (1 - alpha) ** 2 * alpha**3 + alpha**2 * (1 - alpha) ** 3
        rate, mixed = math.sqrt(3 / rows * (math.log(many * rows) + 2) / spread), 1 / (2 * rows)
        losses = [alpha * (share - one) - min(0.0, share - one) for one in experts]
        grown = [weight * math.exp(-rate * loss) for weight, loss in zip(weights, losses, strict=True)]
        whole = sum(grown)
        return tuple((1 - mixed) * one / whole + mixed / many for one in grown)


def _number(value: Value, name: str) -> float:
    found = value.get(name, 0.0)
    return found[0] if isinstance(found, tuple) else float(found)


def _list(value: Value, name: str) -> tuple[float, ...]:
    found = value.get(name, ())
    return found if isinstance(found, tuple) else (float(found),)


def _move(recent: deque[float], table: list[float], score: float, window: int) -> None:
    """A new score in, the oldest out where there are too many, in both orders."""
    recent.append(score)
    insort(table, score)
    if len(recent) > window:
        del table[bisect_left(table, recent.popleft())]
