"""A small complete project on real data (scikit-learn's breast cancer set), made once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import settings

# On a busy machine a slow example is no defect; and what fails for one should fail for all.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")

TRAIN = '''
"""Trains the clinic's model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.learn.base import Trained

COLUMNS = ("radius", "texture", "smoothness")


def train(sample: Sample, folder: Path, seed: int) -> Trained:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = np.column_stack([sample.columns[name] for name in COLUMNS]).astype(np.float32)
    model = make_pipeline(StandardScaler(), LogisticRegression(random_state=seed)).fit(features, sample.labels > 0.5)
    types = [("X", FloatTensorType([None, 3]))]
    graph = to_onnx(model, initial_types=types, options={"zipmap": False}, target_opset=17)
    file = folder / "clinic.onnx"
    file.write_bytes(graph.SerializeToString())
    return Trained(file=file, engine="onnx")
'''

PROJECT = """
application:
  name: clinic
  task: binary
  owner: tests@example.org
  meaning: is the sample malignant
  inputs:
    radius: {kind: number, unit: mm, meaning: mean radius}
    texture: {kind: number, nullable: true}
    smoothness: {kind: number}
  requirements:
    - {metric: auc, at_least: 0.9}
    - {metric: p99_ms, at_most: 500, unit: ms}
data:
  columns: {id: id, at: at, known_at: known_at, label: malignant, key: patient, tags: [ward]}
  lab: data/lab.parquet
  history: data/history.parquet
  production: data/production.parquet
model:
  file: model/clinic.onnx
  engine: onnx
  train: train.py:train
claims:
  - {metric: auc, value: 0.975, tolerance: 0.03, source: the lab's notebook}
corruptions:
  - {blank: {columns: [texture]}}
monitor: {detectors: [psi, calibration], every_days: 2, window_days: 2}
retrain: {every_days: 4, at_least_days_apart: 2}
rollout:
  look_hours: 6
  stages:
    - {mode: shadow, hours: 12}
    - {mode: canary, share: 0.5, hours: 12}
  gates: [errors, {latency: {slower: 20}}, {quality: {margin: 0.2, least: 20}}]
serving: {port: 0, durability: process}
cost: {usd_per_hour: 0.1}
"""


@pytest.fixture(scope="session")
def clinic_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from roadworthy.core.catalog import load
    from roadworthy.core.sample import Sample

    root = tmp_path_factory.mktemp("clinic")
    (root / "data").mkdir()
    (root / "model").mkdir()
    (root / "train.py").write_text(TRAIN)
    (root / "roadworthy.yaml").write_text(PROJECT)
    rows = clinic_rows(3000)
    rows[:300].write_parquet(root / "data" / "lab.parquet")
    rows[:1000].write_parquet(root / "data" / "history.parquet")
    rows[1000:].write_parquet(root / "data" / "production.parquet")
    columns = {name: rows[name].to_numpy() for name in ("radius", "texture", "smoothness")}
    sample = Sample(columns, labels=rows["malignant"].to_numpy().astype(np.float64))
    load("train.py:train", root)(sample.take(slice(300, 1000)), root / "model", 0)
    return root


@pytest.fixture
def clinic(clinic_template: Path, tmp_path: Path) -> Path:
    """The folder of a small project of its own."""
    root = tmp_path / "clinic"
    shutil.copytree(clinic_template, root, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def clinic_rows(n: int) -> pl.DataFrame:
    """Resampled patients with a little noise, one every ten minutes, their outcome known two hours later."""
    from sklearn.datasets import load_breast_cancer

    rng = np.random.default_rng(0)
    data = load_breast_cancer()
    drawn = rng.integers(0, len(data.target), n)
    features = data.data[drawn][:, [0, 1, 4]] * rng.normal(1, 0.02, (n, 3))
    at = 1_700_000_000.0 + 600.0 * np.arange(n)
    return pl.DataFrame(
        {
            "id": [f"visit-{i:05d}" for i in range(n)],
            "at": at,
            "known_at": at + 7200.0,
            "malignant": 1 - data.target[drawn],
            "patient": [f"p{i % 977}" for i in range(n)],
            "ward": rng.choice(["north", "south"], n),
            "radius": features[:, 0],
            "texture": features[:, 1],
            "smoothness": features[:, 2],
        }
    )
