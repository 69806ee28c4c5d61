"""An HTTP/1.1 server: listeners, one coarse timer for all connections, and an orderly end. It knows no model."""

from __future__ import annotations

import asyncio
import email.utils
import resource
import time
from collections.abc import Callable, Iterator
from itertools import islice

from roadworthy.app.connection import Connection
from roadworthy.app.limits import Admit, Limits, Shared
from roadworthy.app.routes import Routes
from roadworthy.app.tls import Tls

# Files that a server needs besides its connections.
SPARE_FILES = 64

# How many connections the timer looks at before others have their turn.
TICK_CONNECTIONS = 1000


def open_many_files() -> int:
    """Let this process have as many files and connections as the system grants it; returns how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


class Server:
    """Must be made on a running loop. `now` is only for the `date` header.

    `admit` is asked about each call before its body is read: it returns the caller's name, or raises to refuse.
    """

    def __init__(
        self,
        routes: Routes,
        limits: Limits | None = None,
        now: Callable[[], float] = time.time,
        admit: Admit | None = None,
    ) -> None:
        limits = limits or Limits()
        self._shared = Shared(routes, limits, asyncio.get_running_loop(), admit)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._shared.most = min(limits.connections, files - SPARE_FILES)
        self._now = now
        self._listeners: list[asyncio.AbstractServer] = []
        self._looks: list[Callable[[], object]] = []
        self._walk: Iterator[Connection] = iter(())
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0

    @property
    def in_flight(self) -> int:
        """How many requests are being answered."""
        return self._shared.in_flight

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._shared.connections)

    @property
    def held_bytes(self) -> int:
        """The bytes of the bodies of requests that are in memory."""
        return self._shared.held

    async def listen(self, host: str, port: int, tls: Tls | None = None, reuse_port: bool = False) -> int:
        """Accept connections; returns the port, which the system chooses when `port` is 0.

        With `reuse_port` several processes may listen on one port, and the system spreads the connections.
        """
        shared, limits = self._shared, self._shared.limits
        if tls is not None:
            self.each_tick(tls.refresh)
        listener = await shared.loop.create_server(
            lambda: Connection(shared),
            host,
            port,
            backlog=1024,
            reuse_port=reuse_port or None,
            ssl=tls.context if tls else None,
            ssl_handshake_timeout=limits.handshake_seconds if tls else None,
            ssl_shutdown_timeout=limits.linger_seconds if tls else None,
        )
        self._listeners.append(listener)
        if self._timer is None:
            self._tick()
        return int(listener.sockets[0].getsockname()[1])

    def each_tick(self, look: Callable[[], object]) -> None:
        """Call `look` every `tick_seconds`; it must be quick."""
        self._looks.append(look)

    async def close(self, grace_seconds: float) -> None:
        """Accept nobody new, answer what has arrived, and after `grace_seconds` cut off whoever is still there."""
        shared = self._shared
        shared.closing = True
        for listener in self._listeners:
            listener.close()
        for connection in tuple(shared.connections):
            connection.end()
        self._until = shared.loop.time() + grace_seconds
        # Looking, because an event would cost every request of a life for this one wait at its end.
        while (shared.connections or shared.in_flight) and shared.loop.time() < self._until:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for connection in tuple(shared.connections):
            connection.cut()
        if self._timer is not None:
            self._timer.cancel()

    def leave(self) -> None:
        """Ask each client with its next answer to connect elsewhere; whoever connects meanwhile is answered too."""
        self._shared.closing = True

    def hurry(self) -> None:
        """Let a `close` under way wait no longer."""
        self._until = 0.0

    def _tick(self) -> None:
        shared = self._shared
        self._timer = shared.loop.call_later(shared.limits.tick_seconds, self._tick)
        shared.ticks += 1
        shared.date = b"date: " + email.utils.formatdate(self._now(), usegmt=True).encode() + b"\r\n"
        shared.crowded = len(shared.connections) > 0.9 * shared.most
        for look in self._looks:
            look()
        self._walk = iter(tuple(shared.connections))
        self._check_some()

    def _check_some(self) -> None:
        """Look at the next connections, and at the others after everybody else had a turn."""
        found = tuple(islice(self._walk, TICK_CONNECTIONS))
        for connection in found:
            if not connection.lost:
                connection.check()
        if len(found) == TICK_CONNECTIONS:
            self._shared.loop.call_soon(self._check_some)
