"""What the probabilities themselves say of doubt: their entropy, and how narrowly the first class won."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from roadworthy.core.errors import BadData
from roadworthy.core.floats import floats
from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.fold import Arrays, on_response, output_named
from roadworthy.serve.uncertainty.decomposition import class_entropy, coin_entropy


@wrapper("doubt")
@dataclass(frozen=True)
class Doubt:
    """Adds `entropy` (nats) and `margin`, the likeliest class's probability less the second's.

    `output` holds probabilities (n,) of the second class or (n, k) of all. One model's entropy does not tell what it
    never saw from what nobody can know: for that see the engines `ensemble` and `torch` (`dropout_samples`).
    """

    output: str = "probability"

    def __call__(self, inner: Handler) -> Handler:
        """The handler that adds both to what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[Doubt, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls(), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The outputs, the entropy (n,) and the margin (n,)."""
        p = floats(output_named(outputs, self.output, "doubt"), f"the values of output {self.output!r}")
        if p.ndim == 1:
            return {**outputs, "entropy": coin_entropy(p), "margin": np.abs(2 * p - 1)}
        if p.ndim != 2 or p.shape[1] < 2:
            raise BadData(f"output {self.output!r} has shape {p.shape}; allowed: (n,), or (n, k) of 2 classes or more")
        top = np.partition(p, -2, axis=1)[:, -2:]
        return {**outputs, "entropy": class_entropy(p), "margin": top[:, 1] - top[:, 0]}
