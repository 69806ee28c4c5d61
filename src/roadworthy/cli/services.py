"""A service answers requests and applies traffic changes: the server process, or the same stack in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from roadworthy.core.errors import RoadworthyError
from roadworthy.core.spec import Spec
from roadworthy.core.wire import Request, Response

if TYPE_CHECKING:
    from roadworthy.app.deployment import Deployment

START_SECONDS = 60.0
STOP_SECONDS = 30.0


class Service(Protocol):
    """`ask` is a Handler. `settle` applies the traffic as stored and returns once mirrored requests are answered."""

    async def ask(self, request: Request) -> Response: ...

    async def settle(self) -> None: ...


class Server:
    """`roadworthy serve` in a process of its own, on a clock that the requests carry."""

    def __init__(self, spec: Spec, clock: str = "request") -> None:
        self.spec = spec
        self.clock = clock
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def card(self) -> Path:
        """The file in which the running server says where it listens."""
        return self.spec.state / "server.json"

    def start(self) -> dict[str, int | str]:
        """Start it and wait until it is ready; what it printed is in the error when it is not."""
        self.card.unlink(missing_ok=True)
        log = (self.spec.state / "server.log").open("ab")
        command = [sys.executable, "-m", "roadworthy", "serve", "--project", str(self.spec.root)]
        command += ["--port", "0", "--admin-port", "0", "--clock", self.clock]
        with log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
        until = time.monotonic() + START_SECONDS
        while not self.card.exists():
            if self.process.poll() is not None or time.monotonic() > until:
                tail = (self.spec.state / "server.log").read_text(errors="replace")[-2000:]
                raise RoadworthyError(f"the server did not start (exit code {self.process.poll()}); it said:\n{tail}")
            time.sleep(0.05)
        return dict(json.loads(self.card.read_text()))

    def stop(self) -> None:
        """SIGTERM, and wait until it has drained."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class OverHttp:
    """The server process, asked over Open Inference V2 and told to settle on its admin listener."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def connect(self) -> None:
        """Read where the server listens and open the connections."""
        from roadworthy.app.client import Admin, Remote

        card = json.loads(self.server.card.read_text())
        self.remote = Remote(f"http://{card['host']}:{card['port']}", self.server.spec.application.name)
        self.admin = Admin(f"http://{card['host']}:{card['admin_port']}")

    async def ask(self, request: Request) -> Response:
        return await self.remote(request)

    async def settle(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.admin.sync)


class InProcess:
    """The deployment's own handler stack without the wire, for simulations of many runs."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    async def ask(self, request: Request) -> Response:
        return await self.deployment(request)

    async def settle(self) -> None:
        await self.deployment.sync(again=True)
        await self.deployment.drain()


@contextlib.asynccontextmanager
async def over_http(spec: Spec) -> AsyncIterator[OverHttp]:
    """A server process for as long as the block runs."""
    server = Server(spec)
    await asyncio.get_running_loop().run_in_executor(None, server.start)
    try:
        service = OverHttp(server)
        await service.connect()
        yield service
    finally:
        await asyncio.get_running_loop().run_in_executor(None, server.stop)
