"""Probabilities made honest by what came true in each of a few bins of them (Zadrozny & Elkan 2001)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.calibration.applied import on_binary
from roadworthy.serve.calibration.labelled_rows import binary_rows
from roadworthy.serve.fold import Arrays, on_response

# The rate of twenty rows is known to about a tenth.
ROWS_A_BIN = 20


@wrapper("histogram")
@dataclass(frozen=True)
class HistogramCalibrated:
    """Histogram binning: every probability in a bin becomes the bin's rate; no bins change nothing.

    Zadrozny & Elkan 2001, "Obtaining calibrated probability estimates from decision trees and naive Bayesian
    classifiers". A probability above `edges[k - 1]` and not above `edges[k]` becomes `rates[k]`. Within a bin the order
    is lost, and between bins the rates may fall. `fit` finds the bins; `rows` is how many rows it had.
    """

    edges: tuple[float, ...] = ()
    rates: tuple[float, ...] = ()
    output: str = "probability"
    rows: int = 0

    def __post_init__(self) -> None:
        if len(self.rates) != (len(self.edges) + 1 if self.rates or self.edges else 0):
            raise ValueError(f"n `edges` part n + 1 `rates`, got {len(self.edges)} and {len(self.rates)}")
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"`edges` must rise, got {self.edges!r}")

    def __call__(self, inner: Handler) -> Handler:
        """The handler that calibrates what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[HistogramCalibrated, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls(edges=(0.3, 0.6), rates=(0.1, 0.5, 0.4)), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    def calibrate(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of any shape, calibrated. A NaN stays one."""
        p = np.asarray(probabilities, np.float64)
        edges, rates = self._bins
        return np.where(np.isnan(p), np.nan, rates[np.searchsorted(edges, p)]) if len(rates) else p

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The output calibrated, in its own type, and the confidence that follows."""
        return on_binary(outputs, self.output, self.calibrate)

    @cached_property
    def _bins(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.array(self.edges, np.float64), np.array(self.rates, np.float64)


def fit(
    labels: ArrayLike, probabilities: ArrayLike, output: str = "probability", bins: int = 10
) -> HistogramCalibrated:
    """The rates of `bins` bins of equal count, or fewer where many rows share a probability.

    `labels` (n,) in {0, 1}, `probabilities` (n,), of rows that the model was not trained on. Each bin counts one row of
    the base rate more than it has, so that none says never or always. Raises BadData below 20 rows a bin.
    """
    if bins < 2:
        raise BadData(f"histogram binning needs 2 `bins` or more, got {bins!r}")
    y, p = binary_rows(labels, probabilities, ROWS_A_BIN * bins, f"histogram binning with {bins} bins")
    edges = _edges(np.sort(p), bins)
    part = np.searchsorted(edges, p)
    rows, hits = np.bincount(part, minlength=len(edges) + 1), np.bincount(part, y, minlength=len(edges) + 1)
    rates = (hits + y.mean()) / (rows + 1)
    return HistogramCalibrated(tuple(edges.tolist()), tuple(rates.tolist()), output, len(y))


def _edges(ordered: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """The quantiles that leave enough rows on either side of them; equal probabilities share a bin."""
    kept, before, n = [], 0, len(ordered)
    for edge in np.quantile(ordered, np.linspace(0, 1, bins + 1)[1:-1]).tolist():
        upto = int(np.searchsorted(ordered, edge, side="right"))
        if upto - before >= ROWS_A_BIN and n - upto >= ROWS_A_BIN:
            kept.append(edge)
            before = upto
    return np.array(kept, np.float64)
