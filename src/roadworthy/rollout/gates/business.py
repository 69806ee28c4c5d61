"""The business gate: what the application is there for must not be less on the candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.arms import requests, shadowed
from roadworthy.rollout.base import Expected, Need, gate
from roadworthy.rollout.statistics.differences import (
    Allowed,
    beside,
    decided,
    in_stage,
    mean_of,
    plainly,
    without_effect_of,
)
from roadworthy.rollout.statistics.needing import need_of
from roadworthy.rollout.statistics.numbers import check_name, number


@gate("business")
@dataclass(frozen=True)
class Business:
    """Fails once a number that the business counts is shown to be worse by more than `margin`.

    `metric` is `label`, `usd`, `outputs.price`, `tags.basket` and the like, or a product (`outputs.price * label`).
    `margin` is in its unit. A negative one asks for more: the candidate must be shown to be better by that much, and
    an equally good one waits (it fails only where it is shown to be worse).

    The arms' means are compared within blocks of time. `covariate` is an input that goes along with the metric and is
    known before the answer (what the caller bought last month): with it fewer rows are needed (CUPED). A shadow's
    answers change nothing in the world, so there it waits.
    """

    metric: str = "label"
    better: Literal["higher", "lower"] = "higher"
    margin: float = 0.02
    alpha: float = 0.05
    least: int = 200
    covariate: str = ""

    def __post_init__(self) -> None:
        check_name(self.metric)

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        if shadowed(candidate):
            return Verdict("wait", "a shadow's answers reach nobody, so they change no outcome", "business")
        control, candidate = requests(control), requests(candidate)
        value = number(control, self.metric), number(candidate, self.metric)
        means = mean_of(self.metric, in_stage(control, candidate, *value))
        losses = in_stage(control, candidate, *self._losses(control, candidate, *value))
        return beside(decided([self._allowed.measure(losses)], self._said, "business"), *means)

    def _losses(
        self, control: Window, candidate: Window, before: NDArray[np.float64], after: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What there should be little of, free of what the covariate explains of it."""
        value = np.concatenate([before, after])
        if self.covariate:
            of_arms = [number(rows, f"inputs.{self.covariate}") for rows in (control, candidate)]
            value = without_effect_of(value, np.concatenate(of_arms))
        value = value if self.better == "lower" else -value
        return value[: control.n], value[control.n :]

    def plan(self, expected: Expected) -> Need:
        """What the bound on the difference needs; a covariate makes it less."""
        return need_of(expected, number(requests(expected.stable), self.metric), self._allowed, "label" in self.metric)

    @property
    def _allowed(self) -> Allowed:
        name = f"{self.metric}_{'loss' if self.better == 'higher' else 'excess'}"
        return Allowed(name, self.margin, self.alpha, self.least, max(self.margin, 0.0))

    def _said(self, found: Measurement) -> str:
        way = "lower" if self.better == "higher" else "higher"
        return plainly(found, f"{self.metric} is {way} on the candidate by")
