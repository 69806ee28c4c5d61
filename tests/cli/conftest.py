"""Ways to call the command line, and a clinic whose short life was lived once and is copied for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from roadworthy.cli.main import main
from roadworthy.cli.opening import open_state
from roadworthy.cli.services import Server
from roadworthy.core.project import read_project
from roadworthy.core.spec import Spec
from roadworthy.store.state import State


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
