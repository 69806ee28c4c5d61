"""Shapley values of any model at all, by sampling the orders in which inputs become known."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roadworthy.core.insides import Columns, Explained
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean
from roadworthy.observe.base import explainer
from roadworthy.observe.explanation.attributions import Attribution, ranked

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Orders that are asked about in one call of the model: enough rows for a batch to pay.
ORDERS_A_CALL = 8


@explainer("sampled")
@dataclass(frozen=True)
class Sampled:
    """Any model: sampled orders of the inputs, each with its reverse, within `cpu_seconds` of this process.

    (Castro et al. 2009; antithetic pairs, Mitchell et al. 2022.) A vector counts as one input. At least `least_orders`
    pairs are asked about, at most `most_orders`. The parts add up to the answer minus the mean answer on the background
    rows that were drawn.
    """

    cpu_seconds: float = 0.5
    least_orders: int = 16
    most_orders: int = 512

    def __post_init__(self) -> None:
        if not 2 <= self.least_orders <= self.most_orders:
            raise ValueError(f"`least_orders` must be from 2 to `most_orders`, got {self.least_orders!r}")

    def __call__(
        self, model: Explained, row: Columns, background: Columns, rng: np.random.Generator
    ) -> Attribution | None:
        began = time.process_time()
        names, rows = list(row), len(next(iter(background.values())))
        found: list[NDArray[np.float64]] = []
        firsts: list[float] = []
        while self._goes_on(len(found), time.process_time() - began):
            pairs, starts = _pairs(model, row, background, names, rows, rng)
            found += pairs
            firsts += starts
        gains = np.array(found)
        parts = [_part(name, gains[:, k], rows) for k, name in enumerate(names)]
        baseline, spent = float(np.mean(firsts)), time.process_time() - began
        score = baseline + float(gains.mean(axis=0).sum())
        return Attribution("sampled Shapley", "1", score, baseline, ranked(parts), rows, spent, exact=False)

    def _goes_on(self, pairs: int, spent: float) -> bool:
        return pairs < self.least_orders or (pairs < self.most_orders and spent < self.cpu_seconds)


def _part(name: str, gains: NDArray[np.float64], rows: int) -> Measurement:
    """The mean gain over pairs of orders, which are independent of each other."""
    found = mean("attribution", gains, name)
    return Measurement("attribution", found.value, rows, found.low, found.high, "1", name, {"orders": 2 * len(gains)})


def _pairs(
    model: Explained, row: Columns, background: Columns, names: list[str], rows: int, rng: np.random.Generator
) -> tuple[list[NDArray[np.float64]], list[float]]:
    """What each input adds in an order and in its reverse, averaged (inputs,), and the answer before any is known."""
    inputs, count = len(names), ORDERS_A_CALL
    orders = np.array([rng.permutation(inputs) for _ in range(count)])
    orders = np.concatenate([orders, orders[:, ::-1]])
    drawn = np.tile(rng.integers(0, rows, count), 2)
    # known[o, s, k]: is input k known after s steps of order o?
    steps = np.argsort(orders, axis=1)
    known = steps[:, None, :] < np.arange(inputs + 1)[None, :, None]
    asked = {
        name: np.where(known[:, :, k].reshape(-1, 1), row[name], np.repeat(background[name][drawn], inputs + 1, axis=0))
        for k, name in enumerate(names)
    }
    answers = np.asarray(model.predict(asked), np.float64).reshape(len(orders), inputs + 1)
    gains = np.take_along_axis(np.diff(answers, axis=1), steps, axis=1)
    return list((gains[:count] + gains[count:]) / 2), answers[:count, 0].tolist()
