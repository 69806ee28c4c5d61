"""Several processes speak HTTP on one port, and this one answers for all of them: it starts them and starts them again.

Where HTTP and JSON are the bottleneck and not the model, this uses more than one core with one copy of the model.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from roadworthy.app.desk import Desk
from roadworthy.app.edge import Clock
from roadworthy.app.limits import Limits
from roadworthy.app.messages import Drain, Hello
from roadworthy.app.openinference import Served
from roadworthy.app.pipe import Pipe
from roadworthy.app.routes import Routes
from roadworthy.core.errors import RoadworthyError

log = logging.getLogger(__name__)

START_SECONDS = 60.0

# A front that lived shorter is started again only after a while: what killed it may do so again.
SHORT_SECONDS = 5.0
AGAIN_SECONDS = 1.0


@dataclass(eq=False)
class _Place:
    """One of the fronts. A new process takes the place of one that died."""

    process: subprocess.Popen[bytes]
    desk: Desk
    since: float


class Fronts:
    """Like a Server, with `fronts` processes in front of `served`; calls that are no inference go to `routes`.

    `state` is the directory of the API keys (None: no key is asked for), `tls` the certificate and its key. The limits
    hold for each front. Must be made on a running loop.
    """

    def __init__(
        self,
        served: Served,
        routes: Routes,
        fronts: int = 2,
        limits: Limits | None = None,
        clock: Clock = "wall",
        timeout_seconds: float = 0.0,
        state: Path | None = None,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        if fronts < 1:
            raise ValueError(f"`fronts` must be at least 1, got {fronts!r}")
        self._served, self._routes, self._wanted = served, routes, fronts
        certificate, key = map(str, tls or ("", ""))
        hello = Hello(0, served.name, served.signature, "", 0, clock, limits or Limits(), timeout_seconds)
        self._hello = structs.replace(hello, state=str(state or ""), certificate=certificate, key=key)
        self._places: list[_Place] = []
        self._reserved: socket.socket | None = None
        self._starting: set[asyncio.Task[None]] = set()
        self._closing = False
        self._until = 0.0

    @property
    def in_flight(self) -> int:
        """How many requests were being answered when the fronts last counted."""
        return sum(place.desk.in_flight for place in self._places)

    @property
    def connections(self) -> int:
        """How many clients were connected when the fronts last counted."""
        return sum(place.desk.connections for place in self._places)

    @property
    def pids(self) -> list[int]:
        """The processes that listen."""
        return [place.process.pid for place in self._places]

    async def listen(self, host: str, port: int) -> int:
        """Start the fronts; returns the port when all of them listen. Raises what keeps one from it, or OSError."""
        self._reserved = _reserve(host, port)
        port = int(self._reserved.getsockname()[1])
        self._hello = structs.replace(self._hello, host=host, port=port)
        try:
            await asyncio.gather(*(self._start() for _ in range(self._wanted)))
        except BaseException:
            await self.close(0.0)
            raise
        return port

    async def close(self, grace_seconds: float) -> None:
        """Let the fronts answer what has arrived, and after `grace_seconds` end them."""
        self._closing = True
        for place in self._places:
            place.desk.say(Drain(0, grace_seconds))
        self._until = time.monotonic() + grace_seconds + 1.0
        while self._places and time.monotonic() < self._until:  # noqa: ASYNC110 it ends once in a life
            await asyncio.sleep(0.01)
        for place in tuple(self._places):
            place.process.kill()
        while self._places:  # noqa: ASYNC110 the kernel is about to tell
            await asyncio.sleep(0.01)
        if self._reserved is not None:
            self._reserved.close()

    def hurry(self) -> None:
        """Let a `close` under way wait no longer."""
        self._until = 0.0

    async def _start(self) -> None:
        """A new front, ready."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "roadworthy.app.front", str(theirs.fileno())]
            process = await asyncio.to_thread(_spawn, command, theirs.fileno())
        desk = Desk(self._served, self._routes, lambda: self._left(place))
        place = _Place(process, desk, time.monotonic())
        desk.pipe = pipe = Pipe(desk)
        try:
            await loop.create_connection(lambda: pipe, sock=ours)
            self._places.append(place)
            desk.say(self._hello)
            await asyncio.wait_for(asyncio.shield(desk.ready), START_SECONDS)
        except BaseException:
            process.kill()
            raise
        if self._closing:
            desk.say(Drain(0, 0.0))

    def _left(self, place: _Place) -> None:
        """A front is gone: see its process off, and put another in its place unless this is the end."""
        task = asyncio.ensure_future(self._see_off(place))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _see_off(self, place: _Place) -> None:
        lived = time.monotonic() - place.since
        # It hung up, so it is about to end; where it does not, it is of no use to anybody.
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(place.process.wait, 1.0)
        place.process.kill()
        await asyncio.to_thread(place.process.wait)
        self._places.remove(place)
        if self._closing or not place.desk.ready.done() or place.desk.ready.exception() is not None:
            return
        log.error("a front ended with %s and is started again", place.process.returncode)
        while not self._closing:
            if lived < SHORT_SECONDS:
                await asyncio.sleep(AGAIN_SECONDS)
            try:
                await self._start()
            except (RoadworthyError, OSError, TimeoutError):
                log.exception("a front cannot be started; it is tried again")
                lived = 0.0
            else:
                return


def _spawn(command: list[str], end: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[end])


def _reserve(host: str, port: int) -> socket.socket:
    """Hold a port for the fronts, without listening on it. Raises OSError where it is taken."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    held = socket.socket(family)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except BaseException:
        held.close()
        raise
    return held
