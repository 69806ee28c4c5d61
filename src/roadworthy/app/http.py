"""An HTTP/1.1 server: listeners, one coarse timer for all connections, and an orderly end. It knows no model."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Callable

from roadworthy.app.connection import Connection, Limits, Shared
from roadworthy.app.routes import Routes


class Server:
    """Must be made on a running loop. `now` is only for the `date` header."""

    def __init__(self, routes: Routes, limits: Limits | None = None, now: Callable[[], float] = time.time) -> None:
        self._shared = Shared(routes, limits or Limits(), asyncio.get_running_loop())
        self._now = now
        self._listeners: list[asyncio.AbstractServer] = []
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

    async def listen(self, host: str, port: int) -> int:
        """Accept connections; returns the port, which the system chooses when `port` is 0."""
        shared = self._shared
        listener = await shared.loop.create_server(lambda: Connection(shared), host, port, backlog=1024)
        self._listeners.append(listener)
        if self._timer is None:
            self._tick()
        return int(listener.sockets[0].getsockname()[1])

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

    def hurry(self) -> None:
        """Let a `close` under way wait no longer."""
        self._until = 0.0

    def _tick(self) -> None:
        shared = self._shared
        self._timer = shared.loop.call_later(shared.limits.tick_seconds, self._tick)
        shared.ticks += 1
        shared.date = b"date: " + email.utils.formatdate(self._now(), usegmt=True).encode() + b"\r\n"
        for connection in tuple(shared.connections):
            connection.check()
