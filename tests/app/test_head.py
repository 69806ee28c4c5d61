"""What a head may say: how requests are framed, and what could be read in two ways and is refused."""

from __future__ import annotations

import json
import re

import pytest

from roadworthy.app.exchange import Call, Reply, json_reply
from roadworthy.app.routes import Routes

POST = b"POST /echo HTTP/1.1\r\nhost: x\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
# Whoever reads a body in another way than we do would see this request in it, or behind it.
HIDDEN = b"GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n"
LAST = b"GET /echo?last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.fixture
def routes() -> Routes:
    async def echo(call: Call) -> Reply:
        return json_reply({"path": call.path.decode(), "query": call.query.decode(), "body": call.body.decode()})

    table = Routes()
    for method in ("GET", "POST"):
        table.add(method, "/echo", echo)
        table.add(method, "/hidden", echo)
    return table


def bodies(answer: bytes) -> list[dict]:
    return [json.loads(part.partition(b"\r\n\r\n")[2]) for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    "raw",
    [
        POST + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        POST + b"content-length: 0\r\ncontent-length: 35\r\n\r\n",
        POST + b"content-length: 3, 3\r\n\r\nabc",
        POST + b"content-length: +3\r\n\r\nabc",
        POST + b"content-length: -3\r\n\r\n",
        POST + b"content-length: 0x3\r\n\r\nabc",
        POST + b"content-length: 1_0\r\n\r\nabc",
        POST + b"content-length: \r\n\r\n",
        POST + b"content-length: 99999999999999999999999\r\n\r\n",
        POST + b"content-length : 35\r\n\r\n",
        POST + b"content-length: 35\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: \r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"host: y\r\n\r\n",
        b"GET /echo HTTP/1.1\r\n\r\n",
        POST + b"a: b\r\n c\r\n\r\n",
        POST + b"a : b\r\n\r\n",
        POST + b": b\r\n\r\n",
        POST + b"no colon\r\n\r\n",
        POST + b"(caller): b\r\n\r\n",
        POST + b"a: b\x00c\r\n\r\n",
        POST + b"a: b\rc: d\r\n\r\n",
        POST + b"a: b\nc: d\r\n\r\n",
        b"POST /echo HTTP/1.1\nhost: x\n\n",
        b"POST /echo HTTP/1.1\r\n host: x\r\n\r\n",
        b"POST /ec\x00ho HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /ec ho HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"fffffffffffffffff\r\n",
        CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"3\nabc\r\n0\r\n\r\n",
        CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
        CHUNKED + b"0\r\ncontent-length: 35\r\n\r\n",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_read(run, ask, routes, raw):
    answer = run(routes, lambda port: ask(port, raw + HIDDEN))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert len(re.findall(rb"HTTP/1\.1 \d", answer)) == 1
    assert b"connection: close\r\n" in answer


@pytest.mark.parametrize(
    ("raw", "status", "says"),
    [
        (b"FETCH /echo HTTP/1.1\r\nhost: x\r\n\r\n", 501, "the method 'FETCH' is not known here"),
        (b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n", 501, "no proxy"),
        (b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\n\r\n", 501, "no proxy"),
        (POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "may be 'chunked', got 'gzip, chunked'"),
        (POST + b"transfer-encoding: gzip\r\n\r\n", 501, "may be 'chunked', got 'gzip'"),
        (POST + b"expect: tea\r\n\r\n", 417, "got 'tea'"),
        (b"GET /echo HTTP/2.0\r\nhost: x\r\n\r\n", 505, "HTTP/2.0 is not spoken here"),
        (b"GET /echo HTTP/9.9\r\nhost: x\r\n\r\n", 505, "not spoken here"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "not spoken here"),
        (b"GET /echo\r\n\r\n", 505, "not spoken here"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "this is TLS"),
    ],
)
def test_what_is_not_spoken_here_is_told(run, ask, routes, raw, status, says):
    answer = run(routes, lambda port: ask(port, raw + HIDDEN))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert len(re.findall(rb"HTTP/1\.1 \d", answer)) == 1
    assert says in bodies(answer)[0]["error"]


@pytest.mark.parametrize(
    "raw",
    [
        POST + b"content-length: 3\r\n\r\nabc",
        POST + b"content-length: 00003 \r\n\r\nabc",
        POST + b"Transfer-Encoding: ChUnKeD\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        POST + b"transfer-encoding:\tchunked \r\n\r\n1;x=y\r\na\r\n02\r\nbc\r\n00\r\nsum: 1\r\n\r\n",
        b"\r\n\r\n" + POST + b"content-length: 3\r\n\r\nabc",
        b"POST http://else/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc",
        b"POST /echo HTTP/1.1\r\nhost:\r\ncontent-length: 3\r\n\r\nabc",
        POST + b"content-encoding: identity\r\ncontent-length: 3\r\n\r\nabc",
        POST + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 3\r\n\r\nabc",
        POST + b"connection: upgrade, http2-settings\r\nupgrade: websocket\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n0\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_unusual_and_allowed_is_read_and_so_is_what_follows(run, ask, routes, raw):
    # Twice: the second time the head may be known.
    answer = run(routes, lambda port: ask(port, raw + raw, raw + LAST))
    assert [body["body"] for body in bodies(answer)] == ["abc", "abc", "abc", ""]
    assert bodies(answer)[-1]["query"] == "last"


def test_an_upgrade_may_be_offered_together_with_a_close(run, ask, routes):
    raw = POST + b"connection: close, upgrade\r\nupgrade: h2c\r\ncontent-length: 3\r\n\r\nabc"
    answer = run(routes, lambda port: ask(port, raw + HIDDEN))
    assert [body["body"] for body in bodies(answer)] == ["abc"]
    assert b"connection: close\r\n" in answer


def test_an_upgrade_may_be_offered_together_with_an_expectation(run, ask, routes):
    raw = POST + b"connection: upgrade\r\nupgrade: h2c\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
    answer = run(routes, lambda port: ask(port, raw, b"abc" + LAST))
    assert answer.count(b"HTTP/1.1 100 Continue\r\n\r\n") == 1
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_a_body_that_cannot_be_read_or_has_no_path_is_let_go_and_the_connection_stays(run, ask, routes):
    zipped = POST + b"content-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"
    nowhere = b"POST /ecko HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
    answer = run(routes, lambda port: ask(port, zipped + nowhere + LAST))
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"415", b"404", b"200"]
    assert b"accept-encoding: identity\r\n" in answer


def test_a_body_that_nobody_wants_is_not_waited_for(run, ask, routes):
    raw = b"POST /ecko HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
    answer = run(routes, lambda port: ask(port, raw))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"connection: close\r\n" in answer


def test_http_1_0_knows_no_continue(run, ask, routes):
    raw = b"POST /echo HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc"
    answer = run(routes, lambda port: ask(port, raw))
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_new_route_is_seen_by_heads_that_are_known(run, ask, routes):
    async def other(call: Call) -> Reply:
        return json_reply({"body": "other"})

    async def talk(port):
        first = await ask(port, POST + b"\r\n" + POST + b"\r\n" + LAST)
        assert routes.known
        routes.add("POST", "/echo", other)
        return first, await ask(port, POST + b"\r\n" + LAST)

    first, second = run(routes, talk)
    assert bodies(first)[1]["body"] == ""
    assert bodies(second)[0]["body"] == "other"


def test_a_head_that_ends_the_connection_does_so_however_often_it_was_seen(run, ask, routes):
    async def talk(port):
        return [await ask(port, LAST + HIDDEN) for _ in range(3)]

    assert [len(bodies(answer)) for answer in run(routes, talk)] == [1, 1, 1]


def test_known_heads_stay_few_and_short(run, ask, routes):
    def get(i: int, more: bytes = b"") -> bytes:
        return b"GET /echo?%d HTTP/1.1\r\nhost: x\r\n%b\r\n" % (i, more)

    async def talk(port):
        for start in range(0, 1500, 100):
            await ask(port, *(get(i) for i in range(start, start + 100)), LAST)
        assert 0 < len(routes.known) <= 1024
        await ask(port, get(-1, b"a: " + b"b" * 3000 + b"\r\n") + LAST)

    run(routes, talk)
    assert max(map(len, routes.known)) < 2100
