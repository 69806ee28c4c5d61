"""Ways to call the command line, and a clinic whose short life was lived once and is copied for each test."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from roadworthy.app.deployment import Deployment
from roadworthy.cli.flows import read
from roadworthy.cli.main import main
from roadworthy.cli.opening import open_state
from roadworthy.cli.services import Server
from roadworthy.core.project import read_project
from roadworthy.core.record import Label
from roadworthy.core.spec import Spec
from roadworthy.evaluate.answers import request_of
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

OWN_MODEL = "model:\n  file: model/clinic.onnx\n  engine: onnx\n  train: train.py:train\n"
TWO_MODELS = """model:
  policy: {cascade: {audit: 0.5}}
  policy_file: model/policy.json
  members:
    small: {file: model/small.onnx, usd_per_1k: 0.1}
    large: {file: model/clinic.onnx, usd_per_1k: 2.0}
"""


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def body(self) -> Any:
        """What `--json` printed."""
        return msgspec.json.decode(self.out)


Call = Callable[..., Ran]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """`roadworthy WORDS` in this process."""

    def called(*words: object) -> Ran:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as left:
            code = int(left.code or 0)
        return Ran(code, *capsys.readouterr())

    return called


def spawn(*words: object) -> Ran:
    """`roadworthy WORDS` in a process of its own."""
    world = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "roadworthy.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=world, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(name="spawn")
def _spawn() -> Call:
    return spawn


@pytest.fixture
def rewrite(clinic: Path) -> Callable[[str, str], Spec]:
    """Change a text of the clinic's project file, and read it."""

    def changed(old: str, new: str) -> Spec:
        file = clinic / "roadworthy.yaml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        return read_project(clinic)

    return changed


@pytest.fixture
def released(clinic: Path, call: Call) -> Path:
    """A clinic whose model is live."""
    assert call("release", "--project", clinic).code == 0
    return clinic


@pytest.fixture
def spec(clinic: Path) -> Spec:
    return read_project(clinic)


@pytest.fixture
def state(spec: Spec) -> Iterator[State]:
    with open_state(spec) as opened:
        yield opened


@pytest.fixture
def served(released: Path) -> Iterator[Server]:
    """A clinic whose server runs, on the clock of the requests."""
    server = Server(read_project(released))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def life(clinic_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """A clinic that `roadworthy run` lived through for six days, and what the command said. Not to be written to."""
    root = tmp_path_factory.mktemp("lived") / "clinic"
    shutil.copytree(clinic_template, root, ignore=shutil.ignore_patterns("__pycache__"))
    file = root / "roadworthy.yaml"
    # At a stated rate the load test takes its five seconds; without one it asks for half of what is possible.
    wanted = "- {metric: throughput_rps, at_least: 100}\n    - {metric: p99_ms"
    file.write_text(file.read_text().replace("- {metric: p99_ms", wanted))
    return root, spawn("run", root, "--days", "6", "--json")


@pytest.fixture
def lived(life: tuple[Path, Ran], tmp_path: Path) -> Path:
    """A copy of the clinic that has lived."""
    root = tmp_path / "lived"
    shutil.copytree(life[0], root)
    return root


@pytest.fixture
def two(clinic: Path) -> Path:
    """The clinic with a model that was told only of one column, and its own behind it."""
    spec = read_project(clinic)
    rows = read(spec, "history")
    features = np.column_stack([rows.columns[name] for name in spec.signature.inputs]).astype(np.float32)
    features[:, 1:] = np.random.default_rng(0).permutation(features[:, 1:])
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, rows.labels > 0.5)
    graph = to_onnx(model, initial_types=[("X", FloatTensorType([None, 3]))], options={"zipmap": False})
    (clinic / "model" / "small.onnx").write_bytes(graph.SerializeToString())
    file = clinic / "roadworthy.yaml"
    file.write_text(file.read_text().replace(OWN_MODEL, TWO_MODELS))
    return clinic


@pytest.fixture
def answered() -> Callable[[Path, int], int]:
    """Asks a deployment of a project about some production rows, one request each, and tells their outcomes."""

    async def ask(spec: Spec, rows: int) -> None:
        sample = read(spec, "production")
        with open_state(spec) as state:
            deployment = Deployment(state, Registry(state), spec, spec.application.name)
            await deployment.sync()
            for row in range(rows):
                await deployment(request_of(sample.take(slice(row, row + 1)), spec.signature, f"r{row}"))
            await deployment.drain()
            await deployment.close()
            known = sample.labels if sample.labels is not None else []
            state.records.write_labels([Label(f"r{k}", float(known[k]), 2e9) for k in range(rows)])

    def asked(root: Path, rows: int) -> int:
        asyncio.run(ask(read_project(root), rows))
        return rows

    return asked
