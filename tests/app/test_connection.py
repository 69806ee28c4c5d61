"""The HTTP core against what clients really send: whole, in pieces, too much, too slow, too early, and wrong."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
import socket

import pytest
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


@pytest.mark.parametrize(
    ("raw", "status", "says"),
    [
        (b"nonsense\r\n\r\n", 400, "this is not HTTP/1.1"),
        (b"GET /echo HTTP/9.9\r\nhost: x\r\n\r\n", 400, "this is not HTTP/1.1"),
        (b"GET /echo HTTP/1.1\r\n\r\n", 400, "needs a `host` header"),
        (b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400, "this is not HTTP/1.1"),
        (
            b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            400,
            "this is not HTTP/1.1",
        ),
        (
            b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            400,
            "this is not HTTP/1.1",
        ),
        (b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: tea\r\n\r\n", 417, "got 'tea'"),
        (b"POST /echo HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\ncontent-length: 1\r\n\r\nx", 400,
         "without an `upgrade` header"),
        (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n\r\n", 414, "at most 200 bytes"),
        (b"GET /echo HTTP/1.1\r\nhost: x\r\na: " + b"b" * 600 + b"\r\n\r\n", 431, "at most 400 bytes"),
        (b"GET /echo HTTP/1.1\r\nhost: x\r\na: " + b"b" * 900, 431, "at most 400 bytes"),
        (b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5dc\r\n" + b"x" * 1500, 413,
         "at most 1000 bytes"),
        (b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"x" * 9000, 413,
         "at most 1000 bytes"),
        (b"GET /echo HTTP/1.1\r\nho", 408, "head of the request took more than 0.05 s"),
        (b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc", 408, "body of the request took more"),
    ],
)  # fmt: skip
def test_what_breaks_the_protocol_or_a_limit_is_told_and_ended(run, ask, routes, raw, status, says):
    answer = run(routes, lambda port: ask(port, raw), QUICK)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert says in body_of(answer)["error"]
    assert b"connection: close" in answer


def test_what_came_before_the_broken_request_is_answered_first(run, ask, routes):
    answer = run(routes, lambda port: ask(port, get("/late?0.02") + b"nonsense\r\n\r\n"))
    assert answer.index(b"200 OK") < answer.index(b"400 Bad Request")


def test_an_idle_connection_is_closed_without_a_word(run, ask, routes):
    assert run(routes, lambda port: ask(port, b""), QUICK) == b""


def test_an_offer_to_upgrade_is_ignored(run, ask, routes):
    raw = get("/echo", b"connection: upgrade", b"upgrade: h2c") + get("/echo?then", b"connection: close")
    answer = run(routes, lambda port: ask(port, raw))
    assert answer.count(b"200 OK") == 2


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


def test_a_client_that_goes_away_leaves_nothing_behind(run, routes):
    async def talk(port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/late?0.02") + get("/stream"))
        await writer.drain()
        writer.transport.abort()
        await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/echo", b"connection: close"))
        answer = await reader.read()
        writer.close()
        return answer

    assert run(routes, talk).startswith(b"HTTP/1.1 200 OK")


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

    async def main() -> bytes:
        async def echo(call: Call) -> Reply:
            return json_reply(len(call.body))

        table = Routes()
        table.add("GET", "/echo", echo)
        table.add("POST", "/echo", echo)
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

    answers = asyncio.run(main())
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answers)
    assert set(statuses) <= {b"100", b"200", b"400", b"404", b"405", b"413", b"414", b"417", b"431"}
    assert not raw or raw.isspace() or statuses
