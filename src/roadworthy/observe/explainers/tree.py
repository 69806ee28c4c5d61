"""Exact Shapley values of an ensemble of trees, by shap's TreeExplainer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.insides import Columns, Explained
from roadworthy.observe.base import explainer
from roadworthy.observe.explanation.attributions import Attribution, by_owner, exact

if TYPE_CHECKING:
    from numpy.typing import NDArray


@explainer("tree")
@dataclass(frozen=True)
class Tree:
    """Exact for forests and boosted trees: interventional TreeSHAP against `most_rows` background rows.

    (Lundberg et al. 2020.) None for other models, and where shap (extra `explain`) is not installed.
    """

    most_rows: int = 100

    def __call__(
        self, model: Explained, row: Columns, background: Columns, rng: np.random.Generator
    ) -> Attribution | None:
        if model.insides is None or model.insides.kind != "trees":
            return None
        try:
            import shap
        except ImportError:
            return None
        began = time.process_time()
        among = model.insides.features(background)
        among = among[np.sort(rng.permutation(len(among))[: self.most_rows])]
        trees = shap.TreeExplainer(model.insides.score, among, feature_perturbation="interventional")
        parts = _of_one_answer(np.asarray(trees.shap_values(model.insides.features(row), check_additivity=False))[0])
        baseline = float(np.asarray(trees.expected_value).reshape(-1)[-1])
        owned = by_owner(model.insides.owners, parts)
        return exact("TreeSHAP", model.insides.unit, baseline, owned, len(among), time.process_time() - began)


def _of_one_answer(values: NDArray[Any]) -> NDArray[np.float64]:
    """(F,) or (F, classes): of two classes the second one's."""
    return np.asarray(values if values.ndim == 1 else values[:, -1], np.float64)
