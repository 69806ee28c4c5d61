"""The server around the connections: it listens, and it ends in an orderly way."""

from __future__ import annotations

import asyncio

import pytest

from roadworthy.app.exchange import Call, Reply, json_reply
from roadworthy.app.http import Server
from roadworthy.app.routes import Routes


@pytest.fixture
def routes() -> Routes:
    async def late(call: Call) -> Reply:
        await asyncio.sleep(float(call.query or 0))
        return json_reply("done")

    table = Routes()
    table.add("GET", "/late", late)
    return table


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 what is waited for is in the server, which has no event for it
            await asyncio.sleep(0.01)


def test_closing_answers_what_has_arrived_and_cuts_off_the_rest_at_the_end(routes):
    async def main() -> tuple[bytes, bytes]:
        server = Server(routes)
        port = await server.listen("127.0.0.1", 0)
        prompt, slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        prompt[1].write(get("/late?0.05") + get("/late"))
        slow[1].write(get("/late?60"))
        await until(lambda: server.in_flight == 2)
        closing = asyncio.ensure_future(server.close(60))
        answer = await prompt[0].read()
        server.hurry()
        await closing
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)
        try:
            rest = await slow[0].read()
        except ConnectionResetError:
            rest = b""
        for _, writer in (prompt, slow):
            writer.close()
        return answer, rest

    answer, rest = asyncio.run(main())
    assert answer.count(b"200 OK") == 2
    assert b"connection: close" in answer.split(b"HTTP/1.1")[-1]
    assert rest == b""


def test_closing_takes_a_request_in_whole_that_is_half_here(routes):
    async def main() -> bytes:
        server = Server(routes)
        reader, writer = await asyncio.open_connection("127.0.0.1", await server.listen("127.0.0.1", 0))
        writer.write(get("/late")[:20])
        await until(lambda: server.connections)
        await asyncio.sleep(0.02)
        closing = asyncio.ensure_future(server.close(60))
        await asyncio.sleep(0.02)
        writer.write(get("/late")[20:])
        answer = await reader.read()
        writer.close()
        await closing
        return answer

    answer = asyncio.run(main())
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer


def test_an_idle_connection_does_not_hold_up_the_close(routes):
    async def main() -> bytes:
        server = Server(routes)
        reader, writer = await asyncio.open_connection("127.0.0.1", await server.listen("127.0.0.1", 0))
        await until(lambda: server.connections)
        closing = asyncio.ensure_future(server.close(60))
        rest = await reader.read()
        writer.close()
        await closing
        return rest

    assert asyncio.run(main()) == b""
