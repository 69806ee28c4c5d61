"""How far a row's logits are from those of the rows that the model was held out on: one pass, no second model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from random import Random
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.fold import Arrays, on_response, output_named
from roadworthy.serve.uncertainty.strangeness import p_values, see_held, some_of


@wrapper("energy")
@dataclass(frozen=True)
class Energy:
    """Adds `energy`, -T log sum exp(logit / T), and `ood`, its p-value against rows that were held out.

    Liu et al. 2020, "Energy-based out-of-distribution detection". `output` (n, k) holds logits; logarithms of softmax
    probabilities have energy 0 always and are refused by `fit`. `ood` is small for a strange row: among rows like the
    held-out ones it is at most a in at most a share a of them (Bates et al. 2023). `held` are these rows' energies.
    """

    temperature: float = 1.0
    output: str = "logits"
    held: tuple[float, ...] = ()
    name: str = "ood"

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"`temperature` must be above 0, got {self.temperature!r}")

    def __call__(self, inner: Handler) -> Handler:
        """The handler that adds both to what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[Energy, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        leaf = cls(2.0, "scores", tuple(k / 20 - 3.0 for k in range(20)))
        return leaf, {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The outputs, the energy (n,) and, where rows were held out, the p-value (n,)."""
        logits = output_named(outputs, self.output, "take the energy of")
        if logits.ndim != 2:
            raise BadData(f"output {self.output!r} has shape {logits.shape}; allowed: (n, k), a logit for each class")
        found = energies(logits, self.temperature)
        if not self.held:
            return {**outputs, "energy": found}
        return {**outputs, "energy": found, self.name: p_values(self._held, found)}

    @cached_property
    def _held(self) -> NDArray[np.float32]:
        return np.sort(np.asarray(self.held, np.float32))


def energies(logits: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float64]:
    """-T log sum exp(logit / T) of each row: low where the model has seen much like it."""
    scaled = np.asarray(logits, np.float64) / temperature
    top = scaled.max(axis=1, initial=-np.inf) if scaled.shape[1] else np.zeros(len(scaled))
    return np.asarray(-temperature * (top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))))


def fit(logits: ArrayLike, rng: Random, temperature: float = 1.0, output: str = "logits", most: int = 999) -> Energy:
    """The wrapper with the energies of rows (n, k) that the model was not trained on, `most` of them at most.

    Raises BadData for fewer rows than a p-value of 5 % needs, for logits that are not finite, and for ones that are
    logarithms of probabilities already.
    """
    found = np.asarray(logits, np.float64)
    if found.ndim != 2 or found.shape[1] < 2 or not np.isfinite(found).all():
        raise BadData(f"energies need finite logits of 2 or more classes for each row, got the shape {found.shape}")
    held = energies(found, temperature)
    see_held(held)
    if temperature == 1.0 and np.abs(held).max() < 1e-3:
        raise BadData("these are logarithms of probabilities, whose energy is 0 in every row: hand on the logits")
    return Energy(temperature, output, tuple(some_of(held, most, rng).tolist()))
