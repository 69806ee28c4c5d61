"""A bare uvloop Protocol that answers whatever arrives: PORT. What is left when even HTTP is not read."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 360\r\n\r\n" + b"0" * 360


class Echo(asyncio.Protocol):
    """One write a read. Right for clients whose requests come one at a time and in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER)


async def _serve(port: int) -> None:
    await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
