"""The models of the candidates: each trained on what was known at its day of the replay, in one of several ways."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from roadworthy.cli.flows import DAY, read
from roadworthy.core.catalog import load
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Spec
from roadworthy.learn.retrain import training_sample
from roadworthy.serve.engines.onnx import Onnx
from roadworthy.serve.wrappers.calibrated import Calibrated, fit

ROUNDS = 100


@dataclass(frozen=True)
class Recipe:
    """How a model is made: of what was known at `day` of the replay (of the `last_days` before it where given).

    `logistic` is the share of a logistic regression in its answers, `settings` those of the boosting that are not the
    project's own.
    """

    day: float
    seed: int = 0
    rounds: int = ROUNDS
    settings: Mapping[str, float] = field(default_factory=dict)
    last_days: float = 0.0
    logistic: float = 0.0
    exported_again: bool = False

    @property
    def name(self) -> str:
        """Unlike that of any other recipe."""
        told = [f"{key}{value:g}" for key, value in sorted(self.settings.items())]
        parts = (f"{self.day:g}", self.seed, self.rounds, f"{self.last_days:g}", f"{self.logistic:g}", *told)
        return "-".join(map(str, parts)) + ("-again" if self.exported_again else "")


@dataclass(frozen=True)
class Workshop:
    """Makes models for one project, each once: they are kept in `folder`."""

    spec: Spec
    folder: Path

    @cached_property
    def production(self) -> Sample:
        """May to December."""
        return read(self.spec, "production")

    @cached_property
    def began(self) -> float:
        """When the replay begins (Unix seconds)."""
        assert self.production.at is not None
        return float(self.production.at[0])

    def time(self, day: float) -> float:
        """A day of the replay as Unix seconds."""
        return self.began + day * DAY

    def stretch(self, first: float, last: float) -> Sample:
        """The rows of production from one day to another."""
        assert self.production.at is not None
        rows = np.searchsorted(self.production.at, [self.time(first), self.time(last)])
        return self.production.take(slice(int(rows[0]), int(rows[1])))

    def file(self, recipe: Recipe) -> Path:
        """The ONNX file of a recipe."""
        file = self.folder / f"{recipe.name}.onnx"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            # Two processes may want one model: each writes its own, and they are alike.
            part = file.with_name(f"{file.name}.{os.getpid()}")
            self._write(recipe, part)
            part.rename(file)
        return file

    def recalibrated(self, recipe: Recipe, day: float) -> Calibrated:
        """The line on the log-odds of a model that the outcomes between its own day and `day` ask for."""
        known = training_sample(self.stretch(recipe.day, day), [], self.time(day))
        assert known.labels is not None
        return fit(known.labels, self._answers(self.file(recipe), known))

    def _write(self, recipe: Recipe, file: Path) -> None:
        if recipe.exported_again:
            export_again(self.file(replace(recipe, exported_again=False)), file)
        else:
            self._load("write_onnx")(self._fitted(recipe), file)

    def _fitted(self, recipe: Recipe) -> Any:
        learnt = self._known(recipe)
        frame, few_threads = self._load("frame"), self._load("few_threads")
        made = self._load("pipeline")(learnt, recipe.rounds, recipe.seed)
        made.named_steps["trees"].set_params(**recipe.settings)
        if recipe.logistic:
            made.steps[-1] = ("both", blended(made.named_steps["trees"], learnt, recipe.logistic))
        with few_threads():
            return made.fit(frame(learnt.columns), learnt.labels)

    def _known(self, recipe: Recipe) -> Sample:
        until = self.time(recipe.day)
        older, newer = read(self.spec, "history"), self.production
        known = joined(training_sample(older, [], until), training_sample(newer, [], until))
        if not recipe.last_days:
            return known
        assert known.at is not None
        return known.take(known.at >= until - recipe.last_days * DAY)

    def _load(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = load(f"train.py:{name}", self.spec.root)
        return function

    def _answers(self, file: Path, sample: Sample) -> Any:
        columns = load("prepare.py:columns_of", self.spec.root)(sample)
        return Onnx(file, output="probability")(columns)["probability"]


def joined(older: Sample, newer: Sample) -> Sample:
    """The rows of both, with the times of both."""
    columns = {name: np.concatenate([older.columns[name], newer.columns[name]]) for name in older.columns}
    assert older.labels is not None
    assert newer.labels is not None
    assert older.at is not None
    assert newer.at is not None
    return Sample(columns, np.concatenate([older.labels, newer.labels]), np.concatenate([older.at, newer.at]))


def blended(trees: Any, sample: Sample, share: float) -> Any:
    """The trees and, with `share` of the weight, a logistic regression; the first columns are the categories."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import VotingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    text = sum(column.dtype == object for column in sample.columns.values())
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    numbers = list(range(text, len(sample.columns)))
    encode = ColumnTransformer([("text", encoder, list(range(text))), ("numbers", scaled, numbers)])
    line = make_pipeline(encode, LogisticRegression(max_iter=1000))
    # skl2onnx writes no other kind, and wants an array.
    settings = {"voting": "soft", "weights": np.array([1 - share, share]), "flatten_transform": False}
    return VotingClassifier([("trees", trees), ("line", line)], **settings)


def export_again(file: Path, again: Path) -> None:
    """The same graph as another exporter signs it: other bytes, the same answers."""
    import onnx

    graph = onnx.load(file)
    graph.producer_name, graph.producer_version = "benchmarks/releases", "1"
    again.write_bytes(graph.SerializeToString())
