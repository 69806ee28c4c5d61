"""Small projects to torture: a model of numbers and one that streams, with two releases that answer differently."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from roadworthy.app.server import Address
from roadworthy.cli.services import Server
from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.project import read_project
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

ENGINES = '''
"""Engines that answer the number in their file: at once, or piece by piece."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Number:
    file: Path
    output: str = "probability"

    @cached_property
    def number(self):
        return float(self.file.read_text())

    def __call__(self, columns):
        return {self.output: np.full(len(columns["x"]), self.number)}


@dataclass(frozen=True)
class Pieces(Number):
    pieces: int = 8
    seconds: float = 0.02

    @property
    def streams(self):
        return True

    def stream(self, columns):
        for _ in range(self.pieces):
            time.sleep(self.seconds)
            yield {self.output: np.full(1, self.number)}
'''


@dataclass
class Replica:
    """One server process on a directory of its own; `died` are its exit codes."""

    server: Server
    address: Address | None = None
    died: list[int] = field(default_factory=list)

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self.server.process

    @property
    def state(self) -> Path:
        return self.server.state

    def start(self) -> None:
        """Start, and wait until it is ready."""
        self.address = self.server.start()

    def stop(self) -> None:
        """SIGTERM, and its exit code."""
        self.server.stop()
        assert self.process is not None
        self.died.append(self.process.returncode)

    def kill(self) -> None:
        """`kill -9`."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def make(root: Path, engine: str = "Number", serving: Mapping[str, object] | None = None) -> tuple[Replica, list[str]]:
    """A project with a live release that answers 0.125, and another one that answers 0.625; their digests."""
    root.mkdir(parents=True)
    (root / "engines.py").write_text(ENGINES)
    for name in ("lab.csv", "production.csv"):
        (root / name).write_text("x,y\n1,0\n2,1\n")
    (root / "model.txt").write_text("0.125")
    project = {
        "application": {"name": "torture", "task": "binary", "inputs": {"x": {}}},
        "data": {"lab": "lab.csv", "production": "production.csv", "columns": {"label": "y"}},
        "model": {"file": "model.txt", "engine": f"engines.py:{engine}"},
        "serving": {"durability": "process", **(serving or {})},
    }
    # JSON is YAML.
    (root / "roadworthy.yaml").write_bytes(msgspec.json.format(msgspec.json.encode(project)))
    spec, digests = read_project(root), []
    with State.open(root / ".roadworthy") as state:
        for number in ("0.125", "0.625"):
            file = root / f"model-{number}.txt"
            file.write_text(number)
            artifact = Artifact("model", "", 0, engine=f"engines.py:{engine}")
            release = Release("torture", (artifact,), spec.signature)
            digests.append(Registry(state).add(release, {"model": file}).digest)
        Registry(state).point("torture", "stable", digests[0], time.time(), "torture", "first")
    return Replica(Server(spec, "wall", look_seconds=10.0)), digests
