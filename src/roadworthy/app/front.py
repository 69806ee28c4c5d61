"""A front: a process that speaks HTTP, decodes, checks and encodes, and asks another process for the answers.

`python -m roadworthy.app.front FD` is started by `Fronts` with one end of a socketpair. Inference is read and checked
here; every other call goes to the other side as it came, so that there is one truth about models and their state.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import uvloop

from roadworthy.app.doorman import Doorman, public_scope
from roadworthy.app.edge import Edge
from roadworthy.app.http import Server, open_many_files
from roadworthy.app.keys import KeyFile
from roadworthy.app.messages import Count, Drain, Hello, Message, Ready, failed
from roadworthy.app.openinference import OpenInference
from roadworthy.app.pipe import Pipe
from roadworthy.app.plain import Plain
from roadworthy.app.remote import RemoteHandler
from roadworthy.app.routes import Routes
from roadworthy.app.tls import Tls
from roadworthy.core.errors import RoadworthyError

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Front:
    """One front process: it does what its Hello says until it is drained, or the other side is gone."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._handler: RemoteHandler | None = None
        self._server: Server | None = None
        self._doorman: Doorman | None = None
        self._working: set[asyncio.Task[None]] = set()
        self._counted = (0, 0)
        self.pipe: Pipe | None = None

    def take(self, message: Any) -> None:
        """What the other side says."""
        if self._handler is not None and self._handler.take(message):
            return
        if isinstance(message, Hello):
            self._begin(self._open(message))
        elif isinstance(message, Drain):
            self._begin(self._drain(message.grace_seconds))

    def unsaid(self, message: Any, wrong: Exception) -> Message | None:
        """What to say in place of what cannot be said."""
        return self._handler.unsaid(message) if self._handler is not None else None

    def left(self) -> None:
        """Without the other side there is nothing to do; what is owed is told so in the time of a moment."""
        if self._handler is not None:
            self._handler.left()
        if not self._over.is_set():
            self._begin(self._drain(0.2))

    async def wait(self) -> None:
        """Until it is over."""
        await self._over.wait()

    def _begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _open(self, hello: Hello) -> None:
        assert self.pipe is not None
        try:
            await self._listen(hello)
        except (OSError, RoadworthyError) as wrong:
            error = wrong if isinstance(wrong, RoadworthyError) else RoadworthyError(str(wrong))
            self.pipe.send(failed(0, error))
        else:
            self.pipe.send(Ready(0))

    async def _listen(self, hello: Hello) -> None:
        assert self.pipe is not None
        self._handler = RemoteHandler(hello.name, hello.signature)
        self._handler.pipe = self.pipe
        if hello.state:
            self._doorman = Doorman(KeyFile(Path(hello.state)), public_scope)
        admit = self._doorman.admit if self._doorman is not None else None
        self._server = Server(routes_of(self._handler, hello), hello.limits, admit=admit)
        if self._doorman is not None:
            self._server.each_tick(self._doorman.refresh)
        self._server.each_tick(self._count)
        tls = Tls(Path(hello.certificate), Path(hello.key)) if hello.certificate else None
        await self._server.listen(hello.host, hello.port, tls, reuse_port=True)

    async def _drain(self, grace_seconds: float) -> None:
        if self._server is not None:
            await self._server.close(grace_seconds)
        if self._doorman is not None:
            self._doorman.note_used()
        self._over.set()
        if self.pipe is not None and not self.pipe.lost:
            self.pipe.close()

    def _count(self) -> None:
        assert self._server is not None
        counted = (self._server.connections, self._server.in_flight)
        if counted != self._counted and self.pipe is not None:
            self._counted = counted
            self.pipe.send(Count(0, *counted))


def routes_of(handler: RemoteHandler, hello: Hello) -> Routes:
    """Inference is decoded here; everything else is the other side's."""
    routes, edge = Routes(), Edge(hello.signature, hello.clock, timeout_seconds=hello.timeout_seconds)
    routes.add("POST", f"/v2/models/{hello.name}/infer", OpenInference(handler, edge).infer)
    routes.add("POST", "/predict", Plain(handler, edge).predict)
    for method in METHODS:
        routes.add(method, "*", handler.forward)
    return routes


async def _run(end: socket.socket) -> None:
    from roadworthy.app.server import quiet_collector

    # Both signals reach the whole group; the process of the model decides when its fronts leave.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)
    # What fails is logged where it fails.
    logging.getLogger("roadworthy.app.exchange").setLevel(logging.CRITICAL)
    open_many_files()
    front = Front()
    front.pipe = pipe = Pipe(front)
    await asyncio.get_running_loop().create_connection(lambda: pipe, sock=end)
    quiet_collector()
    await front.wait()


def main() -> None:
    """The program of a front. Whatever its tasks still hold, it is over with the event."""
    uvloop.run(_run(socket.socket(fileno=int(sys.argv[1]))))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
