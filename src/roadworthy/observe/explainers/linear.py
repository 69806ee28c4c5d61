"""Exact Shapley values of a linear model: weight times distance from the background's mean."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roadworthy.core.insides import Columns, Explained
from roadworthy.observe.base import explainer
from roadworthy.observe.explanation.attributions import Attribution, by_owner, exact

if TYPE_CHECKING:
    import numpy as np


@explainer("linear")
@dataclass(frozen=True)
class Linear:
    """Exact for linear and logistic models: the weight of an input times its distance from the mean.

    This is the interventional Shapley value in closed form (Štrumbelj & Kononenko 2014). None for other models.
    """

    def __call__(
        self, model: Explained, row: Columns, background: Columns, rng: np.random.Generator
    ) -> Attribution | None:
        if model.insides is None or model.insides.kind != "linear":
            return None
        began = time.process_time()
        weights, bias = model.insides.score
        middle = model.insides.features(background).mean(axis=0)
        parts = weights * (model.insides.features(row)[0] - middle)
        rows = len(next(iter(background.values())))
        owned = by_owner(model.insides.owners, parts)
        baseline = float(middle @ weights + bias)
        return exact("exact linear", model.insides.unit, baseline, owned, rows, time.process_time() - began)
