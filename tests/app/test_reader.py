"""What a client may cost: bytes, seconds and places; and that whoever keeps to it never notices the others."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from roadworthy.app.exchange import Call, Reply, json_reply
from roadworthy.app.head import CALLER
from roadworthy.app.http import Server
from roadworthy.app.limits import Limits
from roadworthy.app.routes import Routes
from roadworthy.core.errors import Denied

QUICK = Limits(
    line_bytes=200, head_bytes=400, body_bytes=1000, head_seconds=0.05, body_seconds=0.05, grace_seconds=0.04,
    idle_seconds=0.05, write_seconds=0.05, linger_seconds=0.05, pipelined=8, tick_seconds=0.01,
)  # fmt: skip
POST = b"POST /echo HTTP/1.1\r\nhost: x\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
LAST = b"GET /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.fixture
def routes() -> Routes:
    async def echo(call: Call) -> Reply:
        return json_reply({"body": len(call.body), "caller": call.headers.get(CALLER, b"").decode()})

    async def slow(call: Call) -> Reply:
        await asyncio.sleep(float(call.query))
        return await echo(call)

    table = Routes()
    for method in ("GET", "POST"):
        table.add(method, "/echo", echo)
        table.add(method, "/slow", slow)
    return table


def body_of(answer: bytes) -> dict:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 what is waited for is in the server, which has no event for it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("raw", "status", "says"),
    [
        (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n\r\n", 414, "at most 200 bytes"),
        (b"GET /" + b"a" * 100_000, 414, "at most 200 bytes"),
        (b"GET /echo HTTP/1.1\r\nhost: x\r\na: " + b"b" * 600 + b"\r\n\r\n", 431, "at most 400 bytes"),
        (b"GET /echo HTTP/1.1\r\nhost: x\r\na: " + b"b" * 900, 431, "at most 400 bytes"),
        (b"GET /echo HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 300, 431, "at most 400 bytes"),
        (POST + b"content-length: 1001\r\n\r\n", 413, "at most 1000 bytes"),
        (POST + b"content-length: 18446744073709551615\r\n\r\n", 413, "at most 1000 bytes"),
        (CHUNKED + b"5dc\r\n" + b"x" * 1500, 413, "at most 1000 bytes"),
        (CHUNKED + b"ffffffffffffffff\r\n" + b"x" * 1500, 413, "at most 1000 bytes"),
        (CHUNKED + b"1;" + b"x" * 9000, 413, "at most 1000 bytes"),
        (CHUNKED + b"0\r\n" + b"a: b\r\n" * 300, 431, "at most 400 bytes"),
        (b"GET /echo HTTP/1.1\r\nho", 408, "head of the request took more than 0.05 s"),
        (POST + b"content-length: 999\r\n\r\n" + b"x" * 900, 408, "body of the request took more than 0.05 s"),
        (POST + b"content-length: 9\r\n\r\nabc", 408, "with less than 240 bytes a second"),
    ],
)
def test_what_breaks_a_limit_is_told_and_ended(run, ask, routes, raw, status, says):
    answer = run(routes, lambda port: ask(port, raw), QUICK)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert says in body_of(answer)["error"]
    assert b"connection: close" in answer


@pytest.mark.parametrize("raw", [b"", b"\r\n\r\n"])
def test_an_idle_connection_is_closed_without_a_word(run, ask, routes, raw):
    assert run(routes, lambda port: ask(port, raw), QUICK) == b""


def test_a_connection_that_sends_only_empty_lines_is_idle(run, routes):
    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def send() -> None:
            while True:
                writer.write(b"\r\n")
                await asyncio.sleep(0.005)

        sending = asyncio.ensure_future(send())
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            sending.cancel()
            writer.close()

    assert run(routes, talk, QUICK) == b""


def test_what_we_do_not_read_is_not_late(run, ask, routes):
    # Owed eight answers, the client is not read for longer than a body may take.
    slow = b"GET /slow?0.03 HTTP/1.1\r\nhost: x\r\n\r\n" * 8
    body = POST + b"content-length: 900\r\nconnection: close\r\n\r\n"
    limits = replace(QUICK, head_seconds=0.02, body_seconds=0.02, idle_seconds=5)
    answer = run(routes, lambda port: ask(port, slow + body + b"x" * 899, b"x"), limits)
    assert answer.count(b"HTTP/1.1 200 OK") == 9


def test_of_one_burst_no_more_is_begun_than_the_client_may_be_owed(run, ask, routes):
    most = 0

    async def count(call: Call) -> Reply:
        nonlocal most
        begun.append(1)
        most = max(most, len(begun))
        await asyncio.sleep(0.001)
        begun.pop()
        return Reply(200)

    begun: list[int] = []
    routes.add("GET", "/count", count)
    one = b"GET /count HTTP/1.1\r\nhost: x\r\n\r\n"

    async def talk(port):
        await ask(port, one + LAST)  # from now on the head is known, and reading stops to the request
        return await ask(port, one * 1000 + LAST)

    answer = run(routes, talk, Limits(pipelined=4))
    assert answer.count(b"HTTP/1.1 200 OK") == 1001
    assert most <= 4


def test_bodies_together_have_a_bound_and_are_let_go_when_answered(routes):
    limits = replace(Limits(), held_bytes=2500, tick_seconds=0.01, linger_seconds=0.05)
    head = b"POST /slow?0.1 HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"

    async def main() -> tuple[list[bytes], bytes, int]:
        server = Server(routes, limits)
        port = await server.listen("127.0.0.1", 0)
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        for _, writer in clients[:2]:
            writer.write(head + b"x" * 1000)
        await until(lambda: server.held_bytes == 2000)
        clients[2][1].write(head + b"x" * 1000)
        refused = await clients[2][0].read()
        served = [await reader.readuntil(b"}") for reader, _ in clients[:2]]
        clients[3][1].write(head + b"x" * 1000)
        served.append(await clients[3][0].readuntil(b"}"))
        for _, writer in clients:
            writer.close()
        await server.close(1)
        return served, refused, server.held_bytes

    served, refused, held = asyncio.run(main())
    assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in served)
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in refused
    assert "2500 bytes together" in body_of(refused)["error"]
    assert held == 0


def test_a_client_too_many_is_told_and_a_place_that_is_left_is_taken_again(routes):
    limits = replace(Limits(), connections=2, tick_seconds=0.01, linger_seconds=0.05, crowded_seconds=60)

    async def main() -> tuple[bytes, bytes]:
        server = Server(routes, limits)
        port = await server.listen("127.0.0.1", 0)
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await until(lambda: server.connections == 2)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        refused = await reader.read()
        writer.close()
        clients[0][1].close()
        await until(lambda: server.connections == 1)
        clients.append(await asyncio.open_connection("127.0.0.1", port))
        clients[2][1].write(LAST)
        served = await clients[2][0].read()
        for _, writer in clients:
            writer.close()
        await server.close(1)
        return refused, served

    refused, served = asyncio.run(main())
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in refused
    assert served.startswith(b"HTTP/1.1 200 OK")


def test_when_places_are_short_the_idle_ones_go_first(run, ask, routes):
    limits = Limits(connections=1, tick_seconds=0.01, crowded_seconds=0.03)
    assert run(routes, lambda port: ask(port, b""), limits) == b""


def test_whoever_is_not_admitted_is_told_however_often_the_same_head_comes(routes):
    def admit(call: Call) -> str | None:
        assert call.body == b""
        if call.headers.get(b"x-api-key") != b"secret":
            raise Denied("who are you?")
        return "ada"

    async def main() -> list[bytes]:
        server = Server(routes, admit=admit)
        port = await server.listen("127.0.0.1", 0)
        answers = []
        key = b"x-api-key: secret\r\n"
        for headers in (b"", b"", b"(caller): eve\r\n" + key, key, key):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(POST + headers + b"content-length: 3\r\n\r\nabc" + LAST)
            answers.append(await reader.read())
            writer.close()
        await server.close(1)
        return answers

    without, again, forged, cold, warm = asyncio.run(main())
    for answer in (without, again):
        assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"401", b"401"]
    assert forged.startswith(b"HTTP/1.1 400")
    for answer in (cold, warm):
        assert json.loads(answer.partition(b"\r\n\r\n")[2].partition(b"HTTP/1.1")[0]) == {"body": 3, "caller": "ada"}
