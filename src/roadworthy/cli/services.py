"""A service answers requests and applies traffic changes: the server process, or the same stack in this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from roadworthy.core.errors import Missing, RoadworthyError
from roadworthy.core.spec import Spec
from roadworthy.core.wire import Request, Response

if TYPE_CHECKING:
    from roadworthy.app.client import Admin, Remote
    from roadworthy.app.deployment import Deployment
    from roadworthy.app.server import Address

START_SECONDS = 60.0
STOP_SECONDS = 30.0


class Service(Protocol):
    """`ask` is a Handler. `settle` applies the traffic as stored and returns once mirrored requests are answered.

    `patience` is for how many seconds a lost connection is worth another try.
    """

    patience: float

    async def ask(self, request: Request) -> Response: ...

    async def settle(self) -> None: ...


class Server:
    """`roadworthy serve` in a process of its own, on a clock that the requests carry; port 0 is any free one.

    `state` is the directory of its records, the project's own where it is not given; a running rollout's gates are
    asked every `look_seconds`.
    """

    def __init__(
        self, spec: Spec, clock: str = "request", port: int = 0, state: Path | None = None, look_seconds: float = 1.0
    ) -> None:
        self.spec = spec
        self.look_seconds = look_seconds
        self.state = state or spec.state
        self.clock = clock
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None

    def address(self) -> Address | None:
        """Where the project's server listens, whoever started it; None while none is ready."""
        from roadworthy.app.server import read_address

        return read_address(self.state)

    def start(self) -> Address:
        """Start it and wait until it is ready; what it printed is in the error when it is not."""
        log = (self.state / "server.log").open("ab")
        command = [
            sys.executable,
            "-m",
            "roadworthy.cli",
            "serve",
            "--project",
            str(self.spec.file),
            "--state",
            str(self.state),
        ]
        command += ["--port", str(self.port), "--clock", self.clock, "--look-seconds", str(self.look_seconds)]
        with log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
        until = time.monotonic() + START_SECONDS
        while (address := self.address()) is None or address.pid != self.process.pid:
            if self.process.poll() is not None or time.monotonic() > until:
                tail = (self.state / "server.log").read_text(errors="replace")[-2000:]
                raise RoadworthyError(f"the server did not start (exit code {self.process.poll()}); it said:\n{tail}")
            time.sleep(0.05)
        return address

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
    """The server process, asked over Open Inference V2 and told to settle on its admin listener.

    A server that was started anew may listen elsewhere: after a lost connection the next request goes where it is now.
    """

    patience = 30.0

    def __init__(self, server: Server) -> None:
        self.server = server
        self.remote: Remote
        self.admin: Admin
        self._at: Address | None = None

    async def connect(self) -> None:
        """Read where the server listens; the first request opens the connections. Raises Missing where none runs."""
        if not self._follow():
            root = str(self.server.spec.root)
            raise Missing(f"no server runs on {root!r}: start `roadworthy serve --clock request` first")

    async def ask(self, request: Request) -> Response:
        try:
            return await self.remote(request)
        except ConnectionError:
            self._follow()
            raise

    async def settle(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(None, self.admin.sync)
        except ConnectionError:
            self._follow()
            raise

    def close(self) -> None:
        """Hang up."""
        if self._at is not None:
            self.remote.close()

    def _follow(self) -> bool:
        """Speak to the server that runs now; False while none does, and then everything is left as it is."""
        from roadworthy.app.client import Admin, Remote

        now = self.server.address()
        if now is not None and now != self._at:
            self.close()
            self.remote = Remote(now.url, self.server.spec.application.name)
            self.admin = Admin(now.admin_url)
            self._at = now
        return now is not None


class InProcess:
    """The deployment's own handler stack without the wire, for simulations of many runs."""

    # There is no connection to lose: an error of that kind is the model's own.
    patience = 0.0

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
    service = OverHttp(server)
    try:
        await service.connect()
        yield service
    finally:
        service.close()
        await asyncio.get_running_loop().run_in_executor(None, server.stop)
