"""Our HTTP server answering a constant: PORT. What is left of a request when nothing is read, computed or kept."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from roadworthy.app.exchange import JSON, Call, Reply
from roadworthy.app.http import Server
from roadworthy.app.routes import Routes
from roadworthy.app.server import quiet_collector

# As long as a real answer.
ANSWER = b'{"scores":[%b]}' % b",".join([b"0.12345678"] * 30)


async def _answer(call: Call) -> Reply:
    return Reply(200, ANSWER, JSON)


async def _serve(port: int) -> None:
    routes = Routes()
    routes.add("POST", "/constant", _answer)
    await Server(routes).listen("127.0.0.1", port)
    quiet_collector()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
