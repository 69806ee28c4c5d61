"""What one client may cost, and what the connections of one server have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from roadworthy.app.exchange import Call
from roadworthy.app.routes import Routes

if TYPE_CHECKING:
    from roadworthy.app.connection import Connection

# Looks at a call whose body has not come yet. Returns the caller's name, or None where callers have none; raises
# RoadworthyError to refuse it.
Admit = Callable[[Call], str | None]


@dataclass(frozen=True)
class Limits:
    """What clients may cost: bytes, seconds between events (kept to within `tick_seconds`), and numbers.

    `held_bytes` bounds the bodies of all requests in memory, `connections` the clients; beyond either the answer is
    503. A body may take `body_seconds` in all, and must come with `body_rate` bytes a second after `grace_seconds`.
    `pipelined` is how many answers a client may be owed before we stop reading from it. When nine tenths of the
    connections are taken, idle ones are closed after `crowded_seconds`.
    """

    line_bytes: int = 8 * 1024
    head_bytes: int = 32 * 1024
    body_bytes: int = 8 * 1024 * 1024
    held_bytes: int = 512 * 1024 * 1024
    connections: int = 10_000
    head_seconds: float = 10.0
    body_seconds: float = 60.0
    body_rate: float = 240.0
    grace_seconds: float = 5.0
    idle_seconds: float = 75.0
    crowded_seconds: float = 1.0
    write_seconds: float = 30.0
    linger_seconds: float = 2.0
    handshake_seconds: float = 5.0
    pipelined: int = 256
    tick_seconds: float = 0.5


@dataclass(eq=False)
class Shared:
    """What the connections of one server have in common. `ticks` counts the turns of the one timer.

    `held` counts the bytes of the bodies that are in memory. `most` is how many connections there may be.
    """

    routes: Routes
    limits: Limits
    loop: asyncio.AbstractEventLoop
    admit: Admit | None = None
    date: bytes = b""
    ticks: int = 0
    in_flight: int = 0
    held: int = 0
    most: int = 10_000
    crowded: bool = False
    closing: bool = False
    connections: set[Connection] = field(default_factory=set)
    marked: list[Connection] = field(default_factory=list)

    def mark(self, connection: Connection) -> None:
        """Have a connection flushed at the end of this turn of the loop."""
        if not self.marked:
            self.loop.call_soon(self._flush)
        self.marked.append(connection)

    def _flush(self) -> None:
        marked, self.marked = self.marked, []
        for connection in marked:
            connection.flush()
