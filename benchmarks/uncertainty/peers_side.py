"""Runs MAPIE and crepes, in an environment of their own, on what the benchmark hands over, and times MAPIE row by row.

`python peers_side.py given.npz answered.npz`; afterwards each line read is a number of single rows to ask MAPIE about,
and each line printed the processor seconds that took.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

import numpy as np
from crepes import ConformalClassifier, ConformalRegressor
from mapie.classification import SplitConformalClassifier
from mapie.regression import ConformalizedQuantileRegressor, SplitConformalRegressor
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

warnings.filterwarnings("ignore")

# Not 0.9: where alpha times (n + 1) is whole, crepes takes one rank more than the guarantee needs.
TARGET = 0.903


class Recorded(ClassifierMixin, BaseEstimator):
    """A classifier that gives the recorded probabilities of a row; a row is its number."""

    def __init__(self, probabilities: Any = None) -> None:
        self.probabilities = probabilities
        self.classes_ = np.arange(0 if probabilities is None else probabilities.shape[1])
        self.is_fitted_ = True

    def fit(self, rows: Any, labels: Any) -> Recorded:
        """Nothing to fit."""
        return self

    def predict_proba(self, rows: Any) -> Any:
        """The recorded ones."""
        return self.probabilities[np.asarray(rows)[:, 0].astype(int)]

    def predict(self, rows: Any) -> Any:
        """The likeliest class."""
        return self.predict_proba(rows).argmax(axis=1)


class Answered(RegressorMixin, BaseEstimator):
    """A regression that gives the recorded number of a row."""

    def __init__(self, values: Any = None) -> None:
        self.values = values
        self.is_fitted_ = True

    def fit(self, rows: Any, labels: Any) -> Answered:
        """Nothing to fit."""
        return self

    def predict(self, rows: Any) -> Any:
        """The recorded one."""
        return self.values[np.asarray(rows)[:, 0].astype(int)]


def rows(first: int, last: int) -> Any:
    """The numbers of rows, as a table."""
    return np.arange(first, last)[:, None]


def mapie_sets(given: Any, score: str, **how: Any) -> tuple[Any, Any]:
    """The fitted classifier, and the sets of the test rows as (n, k) booleans."""
    n, labels = int(given["n"]), given["labels"]
    made = SplitConformalClassifier(
        Recorded(given["probabilities"]), confidence_level=TARGET, conformity_score=score, random_state=0
    )
    made.conformalize(rows(0, n), labels[:n])
    return made, made.predict_set(rows(n, len(labels)), **how)[1][:, :, 0]


def crepes_sets(given: Any) -> dict[str, Any]:
    """Marginal, by class, and by segment."""
    n, labels, segments = int(given["n"]), given["labels"], given["segments"]
    strange = 1 - given["probabilities"]
    true = strange[np.arange(n), labels[:n]]
    told = {"confidence": TARGET, "smoothing": False}
    plain = ConformalClassifier().fit(true).predict_set(strange[n:], **told)
    by_class = ConformalClassifier().fit(true, bins=labels[:n])
    columns = [
        by_class.predict_set(strange[n:, [k]], bins=np.full(len(labels) - n, k), **told)[:, 0]
        for k in range(strange.shape[1])
    ]
    by_segment = ConformalClassifier().fit(true, bins=segments[:n])
    return {
        "crepes_lac": plain,
        "crepes_mondrian_class": np.column_stack(columns),
        "crepes_mondrian_segment": by_segment.predict_set(strange[n:], bins=segments[n:], **told),
    }


def intervals(given: Any) -> dict[str, Any]:
    """Absolute residuals by both, normalised ones by crepes, quantiles by MAPIE."""
    n, truth, value, spread = int(given["m"]), given["truth"], given["value"], given["spread"]
    made = SplitConformalRegressor(Answered(value), confidence_level=TARGET)
    made.conformalize(rows(0, n), truth[:n])
    off = truth[:n] - value[:n]
    quantiles = [Answered(given["lower"]), Answered(given["upper"]), Answered(value)]
    cqr = ConformalizedQuantileRegressor(quantiles, confidence_level=TARGET, prefit=True)
    cqr.conformalize(rows(0, n), truth[:n])
    test = rows(n, len(truth))
    return {
        "mapie_absolute": made.predict_interval(test)[1][:, :, 0],
        "mapie_cqr": cqr.predict_interval(test, symmetric_correction=True)[1][:, :, 0],
        "crepes_absolute": ConformalRegressor().fit(off).predict_int(value[n:], confidence=TARGET),
        "crepes_normalised": ConformalRegressor()
        .fit(off, sigmas=spread[:n])
        .predict_int(value[n:], sigmas=spread[n:], confidence=TARGET),
    }


def main() -> None:
    """Answer all methods, then time the ones that are asked for."""
    given = dict(np.load(sys.argv[1]))
    found: dict[str, Any] = {**crepes_sets(given), **intervals(given)}
    timed: dict[str, Any] = {}
    timed["lac"], found["mapie_lac"] = mapie_sets(given, "lac")
    how = {"conformity_score_params": {"include_last_label": "randomized"}}
    timed["aps"], found["mapie_aps"] = mapie_sets(given, "aps", **how)
    timed["raps"], found["mapie_raps"] = mapie_sets(given, "raps", **how)
    np.savez(sys.argv[2], **found)
    print("ready", flush=True)
    for line in sys.stdin:
        name, many = line.split()
        first, more = int(given["n"]), {} if name == "lac" else how
        started = time.process_time()
        for row in range(first, first + int(many)):
            timed[name].predict_set(rows(row, row + 1), **more)
        print(time.process_time() - started, flush=True)


if __name__ == "__main__":
    main()
