"""The answers of plain models on tables that they were not trained on: what the parts of this benchmark share."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights"


@dataclass(frozen=True)
class Answers:
    """Labels (n,) and what a model answered to each row; `segments` (n,) are names, all alike where there are none."""

    labels: NDArray[np.float64]
    outputs: dict[str, NDArray[np.float64]]
    segments: NDArray[np.object_]

    def take(self, rows: NDArray[Any]) -> Answers:
        """Some of the rows."""
        return Answers(self.labels[rows], {name: a[rows] for name, a in self.outputs.items()}, self.segments[rows])


@cache
def digits() -> Answers:
    """Logistic regression on a third of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    table = load_digits()
    return _classified(table.data / 16.0, table.target, 600)


@cache
def breast_cancer() -> Answers:
    """Logistic regression on a third of scikit-learn's breast cancer table."""
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer()
    return _classified(table.data, table.target, 170)


@cache
def diabetes() -> Answers:
    """Gradient boosting on a third of scikit-learn's diabetes table: mean, two quantiles, and the expected error."""
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import Ridge

    table = load_diabetes()
    order = np.random.default_rng(0).permutation(len(table.target))
    train, rest = order[:150], order[150:]
    x, y = table.data, table.target
    mean = Ridge(0.1).fit(x[train], y[train])
    small: dict[str, Any] = {"n_estimators": 60, "max_depth": 2, "learning_rate": 0.05, "random_state": 0}
    ends = {
        name: GradientBoostingRegressor(loss="quantile", alpha=share, **small).fit(x[train], y[train]).predict(x[rest])
        for name, share in (("lower", 0.05), ("upper", 0.95))
    }
    off = np.abs(y[train] - mean.predict(x[train]))
    spread = GradientBoostingRegressor(**small).fit(x[train], off).predict(x[rest])
    outputs = {"prediction": mean.predict(x[rest]), "spread": np.maximum(spread, 1.0), **ends}
    sex = np.where(x[rest, 1] > 0, "men", "women").astype(object)
    return Answers(y[rest], outputs, sex)


@cache
def banking(data: Path) -> Answers:
    """TF-IDF and logistic regression on BANKING77's training questions, asked about its test questions."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    (train, intents), (test, truth) = (_questions(data / "text" / "banking77" / f"{s}.csv") for s in ("train", "test"))
    words = TfidfVectorizer(min_df=2, ngram_range=(1, 2), sublinear_tf=True)
    model = LogisticRegression(C=20.0, max_iter=60, tol=1e-3).fit(words.fit_transform(train), intents)
    names = model.classes_.tolist()
    labels = np.array([names.index(one) for one in truth], np.float64)
    return Answers(labels, {"probabilities": model.predict_proba(words.transform(test))}, _one(len(labels)))


@cache
def flights() -> Answers:
    """The example's own model on every tenth flight of May to December, by month."""
    from roadworthy.core.catalog import load

    table, model = FLIGHTS / "data" / "production.parquet", FLIGHTS / "model" / "flights.onnx"
    sample = load("prepare.py:read", FLIGHTS)(table)
    sample = sample.take(np.arange(0, sample.n, 10))
    known = np.isfinite(sample.labels) & (sample.at < np.datetime64("2014-01-01").astype("datetime64[s]").astype(float))
    p = np.asarray(load("prepare.py:answers", FLIGHTS)(model, sample), np.float64).reshape(-1)
    months = sample.at.astype("datetime64[s]").astype("datetime64[M]").astype(str).astype(object)
    return Answers(sample.labels[known], {"probabilities": np.column_stack([1 - p, p])[known]}, months[known])


def _classified(x: NDArray[Any], y: NDArray[Any], rows: int) -> Answers:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    order = np.random.default_rng(0).permutation(len(y))
    train, rest = order[:rows], order[rows:]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(x[train], y[train])
    return Answers(y[rest].astype(np.float64), {"probabilities": model.predict_proba(x[rest])}, _one(len(rest)))


def _one(n: int) -> NDArray[np.object_]:
    return np.full(n, "all", object)


def _questions(file: Path) -> tuple[list[str], list[str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    return [row["text"] for row in rows], [row["category"] for row in rows]
