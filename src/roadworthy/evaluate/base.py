"""A corruption spoils a sample the way production does; a metric turns labels and answers into a Measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from roadworthy.core.catalog import Catalog
from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Corruption(Protocol):
    """Returns a spoilt copy: severity 0 is the identity, 1 the worst seen, the same rng gives the same rows.

    Labels, times, ids and tags are left alone. A sample without the columns that it spoils comes back unchanged.
    """

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample: ...


class Metric(Protocol):
    """`labels` (n,) in {0, 1} or real, `answers` (n,) probabilities or values. n=0 gives a Measurement with n=0."""

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement: ...


corruption: Catalog[Corruption] = Catalog("corruption", "roadworthy.evaluate.corruptions")
metric: Catalog[Metric] = Catalog("metric", "roadworthy.evaluate.metrics")
