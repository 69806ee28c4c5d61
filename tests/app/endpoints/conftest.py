"""A mock endpoint on the loop of the test, and a server that answers any request with the given bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from roadworthy.testing.mock_endpoint import MockEndpoint
from roadworthy.testing.mock_script import Script


@pytest.fixture
def against() -> Callable[..., Any]:
    """`against(script, talk)` runs a mock endpoint, gives it to `talk`, and returns what that returned."""

    def run(script: Script, talk: Callable[[MockEndpoint], Awaitable[Any]], **given: Any) -> Any:
        async def main() -> Any:
            mock = MockEndpoint(script, **given)
            await mock.listen()
            try:
                return await asyncio.wait_for(talk(mock), 20)
            finally:
                await mock.close()

        return asyncio.run(main())

    return run


@pytest.fixture
def saying() -> Callable[..., Any]:
    """`saying(pieces, talk)` runs a server that answers each request with these bytes, and then hangs up."""

    def run(pieces: list[bytes], talk: Callable[[str], Awaitable[Any]], stay: bool = False) -> Any:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if stay:
                await reader.read()
            writer.close()

        async def main() -> Any:
            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            try:
                return await asyncio.wait_for(talk(f"http://127.0.0.1:{port}"), 20)
            finally:
                server.close()

        return asyncio.run(main())

    return run
