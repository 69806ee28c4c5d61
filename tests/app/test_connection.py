"""The HTTP core against what clients really send: whole, in pieces, too much, too slow, too early, and wrong."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import re
import socket

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.app.connection import Connection, Limits, Shared
from roadworthy.app.exchange import EVENTS, Call, Reply, json_reply
from roadworthy.app.http import Server
from roadworthy.app.routes import Routes
from roadworthy.core.errors import BadRequest, Overloaded

CLOSE = b"host: x\r\nconnection: close\r\n"
QUICK = Limits(
    line_bytes=200, head_bytes=400, body_bytes=1000, head_seconds=0.05, body_seconds=0.05, idle_seconds=0.05,
    write_seconds=0.05, linger_seconds=0.05, pipelined=8, tick_seconds=0.01,
)  # fmt: skip


@pytest.fixture
def routes() -> Routes:
    async def echo(call: Call) -> Reply:
        return json_reply({"body": call.body.decode(), "query": call.query.decode(), "path": call.path.decode()})

    async def late(call: Call) -> Reply:
        await asyncio.sleep(float(call.query))
        return json_reply({"waited": call.query.decode()})

    async def breaks(call: Call) -> Reply:
        raise RuntimeError("secret detail")

    async def full(call: Call) -> Reply:
        raise Overloaded("the queue is full", retry_after=7)

    async def wrong(call: Call) -> Reply:
        raise BadRequest("`x` is wrong")

    async def big(call: Call) -> Reply:
        return Reply(200, b"x" * 1_000_000, b"text/plain")

    async def stream(call: Call) -> Reply:
        async def pieces():
            for i in range(3):
                await asyncio.sleep(0)
                yield b"data: %d\n\n" % i
            if call.query == b"fail":
                raise RuntimeError("in the middle")

        return Reply(200, content_type=EVENTS, stream=pieces())

    table = Routes()
    for path, answer in {"/late": late, "/breaks": breaks, "/full": full, "/wrong": wrong, "/big": big}.items():
        table.add("GET", path, answer)
    table.add("GET", "/stream", stream)
    table.add("GET", "/echo", echo)
    table.add("POST", "/echo", echo)
    table.add("GET", "/files/*", echo)
    table.add("GET", "/files/deep/*", wrong)
    return table


def get(path: str, *headers: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nhost: x\r\n%b\r\n" % (path.encode(), b"".join(h + b"\r\n" for h in headers))


def body_of(answer: bytes) -> dict:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def test_a_connection_is_kept_and_closed_when_the_client_says_so(run, ask, routes):
    answer = run(routes, lambda port: ask(port, get("/echo?a=1"), get("/echo", b"connection: close")))
    first, second = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert b"connection: close" not in first
    assert b"connection: close" in second
    assert b"date: " in first
    assert body_of(first)["query"] == "a=1"


def test_a_hundred_pipelined_requests_are_answered_in_their_order(run, ask, routes):
    # The early ones take longest, so that order is kept and not met by chance.
    requests = [get(f"/late?{(100 - i) / 2000}") for i in range(100)]
    requests[-1] = get("/late?0", b"connection: close")
    answer = run(routes, lambda port: ask(port, b"".join(requests)))
    waited = [json.loads(part.partition(b"\r\n\r\n")[2])["waited"] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    assert waited == [*(f"{(100 - i) / 2000}" for i in range(99)), "0"]


def test_a_client_that_pipelines_without_end_is_read_only_as_far_as_it_is_owed_answers(run, ask, routes):
    requests = b"".join(get(f"/late?0.00{i % 10}") for i in range(300)) + get("/echo", b"connection: close")
    answer = run(routes, lambda port: ask(port, requests), Limits(pipelined=4))
    assert answer.count(b"HTTP/1.1 200 OK") == 301


def test_a_request_may_arrive_byte_by_byte(run, ask, routes):
    raw = b"POST /echo?q HTTP/1.1\r\n" + CLOSE + b"content-length: 5\r\n\r\nhello"
    answer = run(routes, lambda port: ask(port, *(raw[i : i + 1] for i in range(len(raw)))))
    assert body_of(answer) == {"body": "hello", "query": "q", "path": "/echo"}


def test_a_chunked_body_is_put_together(run, ask, routes):
    raw = b"POST /echo HTTP/1.1\r\n" + CLOSE + b"transfer-encoding: chunked\r\n\r\n"
    answer = run(routes, lambda port: ask(port, raw, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\ntrailer: x\r\n\r\n"))
    assert body_of(answer)["body"] == "abcde"


def test_continue_is_said_before_the_body_and_after_what_is_owed(run, routes):
    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST /echo HTTP/1.1\r\n" + CLOSE + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        writer.write(get("/late?0.01") + head)
        before = await reader.readuntil(b"100 Continue\r\n\r\n")
        writer.write(b"ok")
        after = await reader.read()
        writer.close()
        return before, after

    before, after = run(routes, talk)
    assert before.index(b"HTTP/1.1 200 OK") < before.index(b"HTTP/1.1 100 Continue")
    assert body_of(after)["body"] == "ok"


def test_a_body_that_is_too_long_is_refused_before_it_is_sent(run, ask, routes):
    raw = b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1001\r\n\r\n"
    answer = run(routes, lambda port: ask(port, raw), QUICK)
    assert answer.startswith(b"HTTP/1.1 413")
    assert body_of(answer)["error"] == "the body may have at most 1000 bytes"


def test_head_gives_the_length_and_no_body(run, ask, routes):
    answer = run(routes, lambda port: ask(port, b"HEAD /big HTTP/1.1\r\n" + CLOSE + b"\r\n"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-length: 1000000" in head
    assert body == b""


def test_http_1_0_is_told_whether_its_connection_stays(run, ask, routes):
    old = b"GET /echo HTTP/1.0\r\n"
    answer = run(routes, lambda port: ask(port, old + b"connection: keep-alive\r\n\r\n", old + b"\r\n"))
    first, second = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert b"connection: keep-alive" in first
    assert b"connection: close" in second


def test_what_came_before_the_broken_request_is_answered_first(run, ask, routes):
    answer = run(routes, lambda port: ask(port, get("/late?0.02") + b"nonsense\r\n\r\n"))
    assert answer.index(b"200 OK") < answer.index(b"400 Bad Request")


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/ecko", 404, "no path '/ecko' here; did you mean '/echo'?"),
        ("/wrong", 400, "`x` is wrong"),
        ("/full", 503, "the queue is full"),
        ("/breaks", 500, "the server failed on this request; its log says why"),
        ("/files/deep/x", 400, "`x` is wrong"),
    ],
)
def test_an_error_is_a_status_and_a_sentence(run, ask, routes, path, status, says, caplog):
    answer = run(routes, lambda port: ask(port, get(path, b"connection: close")))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert body_of(answer)["error"].startswith(says)
    assert b"secret" not in answer
    assert ("secret detail" in caplog.text) == (path == "/breaks")
    assert (b"retry-after: 7" in answer) == (path == "/full")


def test_another_method_is_told_which_there_are(run, ask, routes):
    answer = run(routes, lambda port: ask(port, b"DELETE /echo HTTP/1.1\r\n" + CLOSE + b"\r\n"))
    assert answer.startswith(b"HTTP/1.1 405")
    assert body_of(answer)["error"] == "'/echo' takes GET, HEAD, POST, not DELETE"
    assert b"allow: GET, HEAD, POST\r\n" in answer


def test_options_tells_the_methods_of_a_path_and_of_the_server(run, ask, routes):
    raw = b"OPTIONS /echo HTTP/1.1\r\nhost: x\r\n\r\nOPTIONS * HTTP/1.1\r\n" + CLOSE + b"\r\n"
    answer = run(routes, lambda port: ask(port, raw))
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.count(b"allow: GET, HEAD, OPTIONS, POST\r\n") == 2


def test_paths_are_unescaped_and_may_be_absolute(run, ask, routes):
    answer = run(routes, lambda port: ask(port, get("http://x/files/a%20b", b"connection: close")))
    assert body_of(answer)["path"] == "/files/a b"


def test_a_client_that_stops_sending_still_gets_its_answers(run, ask, routes):
    answer = run(routes, lambda port: ask(port, get("/late?0.02") + get("/echo"), end=True))
    assert answer.count(b"200 OK") == 2


def test_a_request_that_ends_early_is_told(run, ask, routes):
    raw = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc"
    answer = run(routes, lambda port: ask(port, get("/echo") + raw, end=True))
    assert answer.index(b"200 OK") < answer.index(b"400 Bad Request")
    assert answer.endswith(b'{"error":"the connection ended before the request did"}')


@pytest.fixture
def fates() -> list[str]:
    """What became of the work of clients that went away."""
    return []


@pytest.fixture
def lasting(routes, fates) -> Routes:
    """With a wait and a stream that never end by themselves."""

    async def wait(call: Call) -> Reply:
        fates.append("begun")
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            fates.append("cancelled")
            raise
        raise AssertionError

    async def drip(call: Call) -> Reply:
        async def pieces():
            fates.append("begun")
            try:
                while True:
                    yield b"x" * int(call.query or 1)
                    await asyncio.sleep(0.001)
            finally:
                fates.append("closed")

        return Reply(200, content_type=EVENTS, stream=pieces())

    async def silent(call: Call) -> Reply:
        async def pieces():
            fates.append("begun")
            yield b"x"
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                fates.append("closed")

        return Reply(200, content_type=EVENTS, stream=pieces())

    routes.add("GET", "/silent", silent)
    routes.add("GET", "/wait", wait)
    routes.add("GET", "/drip", drip)
    return routes


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("leave", [_reset, _close])
@pytest.mark.parametrize(
    ("path", "fate"),
    [("/wait", "cancelled"), ("/drip", "closed"), ("/drip?100000", "closed"), ("/silent", "closed")],
)
def test_the_work_of_a_client_that_goes_away_is_cancelled(run, lasting, fates, leave, path, fate):
    async def talk(port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/echo") + get(path) + get("/wait"))
        await until(lambda: "begun" in fates and (fates.count("begun") == 2 or path != "/wait"))
        leave(writer)
        await until(lambda: len([f for f in fates if f != "begun"]) == 2)

    run(lasting, talk)
    assert sorted(f for f in fates if f != "begun") == sorted(["cancelled", fate])


def test_a_client_that_only_stops_sending_is_not_taken_for_gone(run, ask, routes):
    answer = run(routes, lambda port: ask(port, get("/late?0.2"), end=True))
    # It is asked whether it is there with an interim answer, which every client must be able to skip.
    interim, _, final = answer.partition(b"\r\n\r\n")
    assert interim == b"HTTP/1.1 100 Continue"
    assert body_of(final) == {"waited": "0.2"}


def test_nothing_stays_behind_a_client_that_goes_away(routes):
    async def main() -> tuple[int, int, int]:
        server = Server(routes)
        _, writer = await asyncio.open_connection("127.0.0.1", await server.listen("127.0.0.1", 0))
        body = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\nabc"
        writer.write(get("/late?60") + get("/stream") + body)
        await until(lambda: server.in_flight and server.held_bytes)
        _reset(writer)
        await until(lambda: not server.connections)
        await asyncio.sleep(0)
        counted = server.connections, server.in_flight, server.held_bytes
        await server.close(0)
        return counted

    assert asyncio.run(main()) == (0, 0, 0)


def test_a_stream_is_chunked_and_what_follows_waits_for_its_end(run, ask, routes):
    answer = run(routes, lambda port: ask(port, get("/stream") + get("/echo", b"connection: close")))
    stream, echo = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert b"transfer-encoding: chunked" in stream
    assert b"content-type: text/event-stream" in stream
    assert stream.endswith(b"9\r\ndata: 0\n\n\r\n9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n")
    assert b'"path":"/echo"' in echo


def test_a_stream_that_breaks_has_no_end(run, ask, routes, caplog):
    with caplog.at_level(logging.CRITICAL):
        try:
            answer = run(routes, lambda port: ask(port, get("/stream?fail")))
        except ConnectionResetError:
            return
    assert not answer.endswith(b"0\r\n\r\n")


def test_a_stream_to_http_1_0_ends_with_the_connection(run, ask, routes):
    raw = b"GET /stream HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
    head, _, body = run(routes, lambda port: ask(port, raw)).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 what is waited for is in the server, which has no event for it
            await asyncio.sleep(0.01)


def _deaf(port: int) -> socket.socket:
    """A client that asks for ten megabytes and does not read."""
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.sendall(get("/big") * 10)
    return client


def test_a_client_that_reads_late_gets_everything(run, routes):
    def read(client: socket.socket) -> int:
        n = 0
        while n < 10_000_000:
            n += client.recv(1 << 16).count(b"x")
        return n

    async def talk(port):
        with _deaf(port) as client:
            await asyncio.sleep(0.05)
            return await asyncio.to_thread(read, client)

    assert run(routes, talk) >= 10_000_000


def test_a_client_that_never_reads_is_cut_off(routes):
    async def main() -> None:
        server = Server(routes, QUICK)
        with _deaf(await server.listen("127.0.0.1", 0)):
            await until(lambda: server.connections)
            await until(lambda: not server.connections)
        await server.close(0)

    asyncio.run(main())


class Wire(asyncio.Transport):
    """A network that only remembers what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = False

    def write(self, data) -> None:
        assert not self.ended, "nothing may be written behind the end"
        self.written += bytes(data)

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.ended = True

    abort = close


VALID = [
    b"GET /echo?a=1 HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc",
    b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HEAD /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\na",
    b"GET /wrong HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    b"GET /files/%2e HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
]
EDITS = st.tuples(st.integers(0, 400), st.integers(0, 4), st.binary(max_size=4))


@settings(max_examples=300, deadline=None)
@given(
    requests=st.lists(st.sampled_from(VALID), min_size=1, max_size=4),
    edits=st.lists(EDITS, max_size=3),
    cuts=st.lists(st.integers(0, 400), max_size=4),
)
def test_any_bytes_in_any_pieces_get_whole_answers_and_never_a_500(requests, edits, cuts):
    raw = b"".join(requests)
    for at, removed, added in edits:
        raw = raw[:at] + added + raw[at + removed :]

    async def echo(call: Call) -> Reply:
        return json_reply([call.method.decode(), call.query.decode("latin-1"), len(call.body)])

    table = Routes()
    table.add("GET", "/echo", echo)
    table.add("POST", "/echo", echo)

    async def answers() -> bytes:
        connection, wire = Connection(Shared(table, QUICK, asyncio.get_running_loop())), Wire()
        connection.connection_made(wire)
        places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
        for start, end in itertools.pairwise(places):
            if not wire.ended:
                connection.data_received(raw[start:end])
        if not wire.ended:
            connection.eof_received()
        connection.connection_lost(None)
        return wire.written

    cold, warm = asyncio.run(answers()), asyncio.run(answers())
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", cold)
    assert set(statuses) <= {b"%d" % code for code in (100, 200, 400, 404, 405, 413, 414, 415, 417, 431, 501, 505)}
    assert not raw or raw.isspace() or statuses
    # A head that is known must mean what the parser says. (Which method was strange, it can tell of the first only.)
    assert re.findall(rb"HTTP/1\.1 (\d+) ", warm.replace(b" 501 ", b" 400 ")) == [
        b"400" if status == b"501" else status for status in statuses
    ]
    assert re.findall(rb"\[.*?\]", warm) == re.findall(rb"\[.*?\]", cold)


def test_a_connection_that_is_gone_leaves_nothing_for_the_collector():
    async def ok(call):
        return Reply(200, b"{}")

    async def visit(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"{}")
        writer.close()
        await writer.wait_closed()

    async def main():
        routes = Routes()
        routes.add("GET", "/x", ok)
        server = Server(routes)
        port = await server.listen("127.0.0.1", 0)
        await visit(port)
        await asyncio.sleep(0.05)
        gc.collect()
        for _ in range(20):
            await visit(port)
        await asyncio.sleep(0.05)
        left = gc.collect()
        await server.close(1.0)
        return left

    assert uvloop.run(main()) < 20
