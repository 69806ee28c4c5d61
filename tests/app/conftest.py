"""A small deployment, and a server on a real socket: once on uvloop and once on asyncio's own loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from roadworthy.app.client import Remote
from roadworthy.app.connection import Limits
from roadworthy.app.edge import Edge
from roadworthy.app.http import Server
from roadworthy.app.openinference import OpenInference
from roadworthy.app.plain import Plain
from roadworthy.app.routes import Routes
from roadworthy.app.server import Address, read_address
from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import Missing
from roadworthy.core.spec import Application, Columns, Data, Field, ModelSpec, Serving, Signature, Spec
from roadworthy.core.wire import Request, Response, Step, Tensor
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

Talk = Callable[[int], Awaitable[Any]]


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`run(routes, talk)` serves the routes, gives `talk` the port, and returns what it returned."""

    def served(routes: Routes, talk: Talk, limits: Limits | None = None) -> Any:
        async def main() -> Any:
            server = Server(routes, limits)
            port = await server.listen("127.0.0.1", 0)
            try:
                return await asyncio.wait_for(talk(port), 20)
            finally:
                await server.close(1.0)

        return (uvloop.run if request.param == "uvloop" else asyncio.run)(main())

    return served


@pytest.fixture
def ask() -> Callable[..., Awaitable[bytes]]:
    """`await ask(port, raw)` sends bytes and returns all that comes back until the server hangs up."""

    async def send(port: int, *pieces: bytes, end: bool = False) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if end:
            writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    return send


SIGNATURE = Signature(
    {"a": Field(), "b": Field(nullable=True), "kind": Field("category")},
    {"probability": Field()},
)
RELEASE = "ab" * 32


class Mean:
    """A deployment small enough to see through: it answers the mean of its inputs, or whatever it is told to."""

    name = "mean"
    signature = SIGNATURE
    versions = (RELEASE,)
    ready = True

    def __init__(self, **more) -> None:
        self.more = more
        self.seen: list[Request] = []

    def version(self, release: str):
        if not RELEASE.startswith(release):
            raise Missing(f"no version {release!r} of 'mean' answers now (known: {RELEASE[:12]})")
        return self

    async def __call__(self, request: Request) -> Response:
        self.seen.append(request)
        await asyncio.sleep(0)
        means = [(a + (b or 0)) / 2 for a, b in zip(request.inputs["a"].data, request.inputs["b"].data, strict=True)]
        told = {
            "outputs": {"probability": Tensor("probability", "FP32", (request.n,), means)},
            "release": RELEASE,
            "confidence": [0.75] * request.n,
            "path": (Step("split", "drew 0.5"),),
        }
        return Response(request.id, **{**told, **self.more})


def _routes_of(served, clock="wall") -> Routes:
    table, edge = Routes(), Edge(served.signature, clock, now=lambda: 1000.0)
    OpenInference(served, edge).add_to(table)
    Plain(served, edge).add_to(table)
    return table


@pytest.fixture
def mean() -> type[Mean]:
    """The class of the small deployment; its release is 64 digits of "ab"."""
    return Mean


@pytest.fixture
def routes_of() -> Callable[..., Routes]:
    """`routes_of(served)`: both protocols in front of a deployment, the time standing at 1000."""
    return _routes_of


ENGINE = '''
"""Answers the number in its file; where a path stands behind it, only once there is such a file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Toy:
    file: Path
    output: str = "probability"

    def __call__(self, columns):
        answer, *gate = self.file.read_text().split()
        x = columns["x"]
        if gate:
            time.sleep(0.002)  # slow enough to be given a thread of its own
        while gate and x.any() and not Path(gate[0]).exists():  # warming up is done with zeros
            time.sleep(0.002)
        return {self.output: np.full(len(x), float(answer))}
'''


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    """A project with one input `x`, whose engine answers what its model file says."""
    (tmp_path / "toy.py").write_text(ENGINE)
    return Spec(
        Application("toy", "binary", {"x": Field()}),
        Data(Columns("y"), "lab.parquet", "production.parquet"),
        ModelSpec("model.txt", "toy.py:Toy"),
        serving=Serving(durability="process"),
        root=tmp_path,
    )


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """The project's state directory, open."""
    with State.open(tmp_path / "state", "process") as opened:
        yield opened


@pytest.fixture
def made(state: State, tmp_path: Path) -> Callable[[str], str]:
    """`made(content)`: the digest of a release whose model file has this content."""

    def make(content: str) -> str:
        file = tmp_path / "model.txt"
        file.write_text(content)
        signature = Signature({"x": Field()}, {"probability": Field()})
        release = Release("toy", (Artifact("model", "", 0, engine="toy.py:Toy"),), signature)
        return Registry(state).add(release, {"model": file}).digest

    return make


PROGRAM = """
import sys
from pathlib import Path
from roadworthy.app.server import serve
from roadworthy.core.spec import *
root = Path(sys.argv[1])
spec = Spec(
    Application("toy", "binary", {"x": Field()}),
    Data(Columns("y"), "lab.parquet", "production.parquet"),
    ModelSpec("model.txt", "toy.py:Toy"),
    serving=Serving(durability="process"),
    root=root,
)
serve(spec, root / "state", port=0, clock="request", drain_seconds=float(sys.argv[2]))
"""


def _until(condition: Callable[[], Any]) -> Any:
    for _ in range(1500):
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{condition} never held")


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Look until it holds; a server that never gets there fails the test after a while."""
    return _until


@pytest.fixture
def start(spec: Spec, tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], Address]]]:
    """`start(drain_seconds)` gives a server process and its address."""
    running = []

    def begin(drain_seconds: float = 0.0) -> tuple[subprocess.Popen[str], Address]:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(drain_seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        _until(lambda: read_address(tmp_path / "state") or process.poll() is not None)
        address = read_address(tmp_path / "state")
        assert address, process.communicate()[1]
        return process, address

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def predict_all() -> Callable[..., list[Response]]:
    """`predict_all(address, "r1", "r2")`: the answers to requests with these ids, asked for over the wire."""

    def send(address: Address, *ids: str) -> list[Response]:
        async def main() -> list[Response]:
            async with Remote(address.url, "toy") as remote:
                x = Tensor("x", "FP32", (1,), [1.0])
                return await asyncio.gather(*(remote(Request(id, {"x": x}, 5.0)) for id in ids))

        return asyncio.run(main())

    return send
