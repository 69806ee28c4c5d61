"""Reads the weights, or the trees, of a scikit-learn estimator, and what a pipeline computes before it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.insides import Columns, Insides
from roadworthy.serve.insides import owners_of, proven

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Trees whose score is the log odds; those of a forest vote with probabilities.
_LOG_ODDS = {"HistGradientBoostingClassifier", "GradientBoostingClassifier"}
_FORESTS = {"RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier"}
_REGRESSORS = {
    "HistGradientBoostingRegressor",
    "GradientBoostingRegressor",
    "RandomForestRegressor",
    "ExtraTreesRegressor",
    "DecisionTreeRegressor",
}


def insides_of(
    estimator: Any, matrix_of: Callable[[Columns], Any], rows: Columns, answers: NDArray[Any]
) -> Insides | None:
    """The insides of a linear model or of trees, at the end of a pipeline or alone, proven on `rows`; else None."""
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    if len(getattr(last, "classes_", ())) > 2:
        return None
    before = estimator[:-1] if hasattr(estimator, "steps") and len(estimator.steps) > 1 else None

    def features(columns: Columns) -> NDArray[np.float64]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            matrix = matrix_of(columns)
            found = matrix if before is None else before.transform(matrix)
        return np.asarray(found.toarray() if hasattr(found, "toarray") else found, np.float64)

    owners = owners_of(features, rows)
    return None if owners is None else _proven(last, features, owners, rows, answers)


def _proven(last: Any, features: Any, owners: tuple[str, ...], rows: Columns, answers: NDArray[Any]) -> Insides | None:
    name, classifier = type(last).__name__, hasattr(last, "predict_proba")
    if hasattr(last, "coef_"):
        weights, bias = np.asarray(last.coef_, np.float64).reshape(-1), float(np.reshape(last.intercept_, -1)[0])
        found = Insides("linear", features, owners, (weights, bias), "logit" if classifier else "1")
        return proven(found, lambda matrix: matrix @ weights + bias, rows, answers)
    if name in _LOG_ODDS:
        return proven(Insides("trees", features, owners, last, "logit"), last.decision_function, rows, answers)
    if name in _FORESTS:
        made = Insides("trees", features, owners, last, "1")
        return proven(made, lambda matrix: last.predict_proba(matrix)[:, 1], rows, answers)
    if name in _REGRESSORS:
        return proven(Insides("trees", features, owners, last, "1"), last.predict, rows, answers)
    return None
