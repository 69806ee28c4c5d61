"""Runs an ASGI application on the loop of the data plane, for what is asked seldom: operators, metrics, pages."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

DATE_SECONDS = 1.0


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.leaving = asyncio.Event()

    async def main_loop(self) -> None:
        """Uvicorn wakes ten times a second to see whether it shall end; this one is told, and only keeps the date."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self.leaving.wait(), DATE_SECONDS)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The process listens to its signals itself."""
        yield


class Listener:
    """An ASGI application behind uvicorn, without its logs, signals and lifespan."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._server: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    async def listen(self, host: str, port: int) -> int:
        """Accept connections; returns the port, which the system chooses when `port` is 0. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.create_server((host, port), family=family, backlog=128)
        config = uvicorn.Config(
            self._app, log_config=None, log_level="critical", access_log=False, lifespan="off", ws="none", loop="none"
        )
        self._server = _Uvicorn(config)
        self._serving = asyncio.create_task(self._server.serve([bound]))
        # uvicorn has no event for this; it takes a turn or two of the loop.
        while not self._server.started and not self._serving.done():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return int(bound.getsockname()[1])

    async def close(self, grace_seconds: float) -> None:
        """Answer what has arrived, at most for `grace_seconds`, and hang up."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        self._server.leaving.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._serving), grace_seconds)
        self._server.force_exit = True
        await self._serving
