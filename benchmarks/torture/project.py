"""Small projects to torture: a model of numbers and one that streams, with two releases that answer differently."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from roadworthy.app.server import Address, read_address
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
    """One server process on a directory of its own."""

    root: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    address: Address | None = None
    died: list[int] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.root / ".roadworthy"

    def start(self) -> None:
        """Start, and wait until it is ready."""
        command = [
            sys.executable,
            "-m",
            "roadworthy.cli",
            "serve",
            "--project",
            str(self.root),
            "--port",
            str(self.port),
        ]
        log = (self.root / "server.log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(1500):
            self.address = read_address(self.state)
            if self.address is not None and self.address.pid == self.process.pid:
                return
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {(self.root / 'server.log').read_text()[-2000:]}")
            time.sleep(0.02)
        raise RuntimeError("the server was not ready within 30 s")

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        assert self.process is not None
        self.process.terminate()
        self.died.append(self.process.wait(60))
        return self.died[-1]

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
    return Replica(root), digests
