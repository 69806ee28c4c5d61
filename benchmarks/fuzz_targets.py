"""What the fuzz throws bytes at: the HTTP core, the JSON bodies and the binary tensors, and what counts as a crash.

A crash is an exception that is no documented refusal, an answer that is not valid HTTP, a 500, a second opinion (the
same bytes in other pieces, or with heads that are known by now, mean something else), memory that is not let go, or
more than a second of CPU.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random

from roadworthy.app.connection import Connection
from roadworthy.app.edge import Edge
from roadworthy.app.exchange import EVENTS, Call, Reply, json_reply
from roadworthy.app.limits import Limits, Shared
from roadworthy.app.openinference import OpenInference
from roadworthy.app.plain import Plain
from roadworthy.app.routes import Routes
from roadworthy.core.errors import BadRequest
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor

HANG_SECONDS = 1.0
SMALL = Limits(line_bytes=200, head_bytes=400, body_bytes=1000, held_bytes=3000, pipelined=8)
REFUSALS = {400, 404, 405, 408, 413, 414, 415, 417, 431, 501, 503, 505}
# Where these begin depends on what has arrived at one moment; which of two is said, too.
LIMITS = {413, 414, 431, 503}

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z -]+\r\n")
HEADER = re.compile(rb"[a-z-]+: [\x20-\x7e]*")
DATE = b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


class Crash(AssertionError):
    """Something that must not happen."""


class Wire(asyncio.Transport):
    """A network that remembers what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.ended:
            raise Crash("written behind the end")
        self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.ended = True

    abort = close


class Rig:
    """One event loop, turned by hand: each piece of what a client sends has a turn of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._failed)
        self._wrong: list[object] = []

    def talk(self, routes: Routes, pieces: Sequence[bytes], limits: Limits) -> bytes:
        """All that a server answers to one client. Raises Crash where it keeps something back."""
        started = time.process_time()
        shared = Shared(routes, limits, self._loop, date=DATE)
        connection, wire = Connection(shared), Wire()
        connection.connection_made(wire)
        for piece in pieces:
            self._turn(lambda piece=piece: wire.ended or connection.data_received(piece))
        for _ in range(200):
            if not shared.in_flight and not connection.busy:
                break
            self._turn()
        self._turn(lambda: wire.ended or connection.eof_received())
        self._turn()
        connection.connection_lost(None)
        for _ in range(5):
            self._turn()
        if shared.held or shared.in_flight or shared.connections:
            raise Crash(f"{shared.held} bytes and {shared.in_flight} requests are left behind")
        if (seconds := time.process_time() - started) > HANG_SECONDS:
            raise Crash(f"it took {seconds:.1f} s")
        return bytes(wire.written)

    def close(self) -> None:
        """Let go of the loop."""
        self._loop.close()

    def _turn(self, act: Callable[[], object] | None = None) -> None:
        if act is not None:
            self._loop.call_soon(act)
        self._loop.call_soon(self._loop.stop)
        self._loop.run_forever()
        if self._wrong:
            wrong = self._wrong.pop()
            raise wrong if isinstance(wrong, BaseException) else Crash(wrong)

    def _failed(self, loop: asyncio.AbstractEventLoop, told: dict[str, object]) -> None:
        self._wrong.append(told.get("exception") or told["message"])


def answers_of(raw: bytes, with_head: bool) -> list[tuple[int, bytes]]:
    """Status and body of each final answer. Raises Crash where this is no HTTP. After a HEAD no body may follow."""
    found, at = [], 0
    while at < len(raw):
        end = raw.find(b"\r\n\r\n", at)
        status = STATUS.match(raw, at)
        if status is None or end < 0:
            raise Crash(f"no answer begins with {raw[at : at + 80]!r}")
        code, lines = int(status[1]), raw[status.end() : end].split(b"\r\n")
        at = end + 4
        if code == 100:
            continue
        headers = dict(line.split(b": ", 1) for line in lines if HEADER.fullmatch(line))
        if len(headers) != len(lines) or b"date" not in headers:
            raise Crash(f"the head {lines!r} is not right")
        body, at = _body(raw, at, headers, with_head)
        if code >= 400 and body:
            json.loads(body)["error"].encode()
        found.append((code, body))
    return found


def _body(raw: bytes, at: int, headers: dict[bytes, bytes], with_head: bool) -> tuple[bytes, int]:
    nothing = with_head and (at == len(raw) or STATUS.match(raw, at) is not None)
    if nothing:
        return b"", at
    if b"content-length" in headers:
        end = at + int(headers[b"content-length"])
        if end > len(raw):
            raise Crash("a body is cut short")
        return raw[at:end], end
    if headers.get(b"transfer-encoding") != b"chunked":
        return raw[at:], len(raw)  # to HTTP/1.0, a stream ends with the connection
    body = b""
    while (size := int(raw[at : raw.index(b"\r\n", at)], 16)) > 0:
        start = raw.index(b"\r\n", at) + 2
        body, at = body + raw[start : start + size], start + size + 2
    return body, raw.index(b"0\r\n\r\n", at) + 5


class Http:
    """Bytes as requests. The first byte says into how many pieces the rest is cut, and the next ones where."""

    tokens = (
        *(b"GET ", b"POST ", b"HEAD ", b"OPTIONS ", b"CONNECT ", b"PRI * HTTP/2.0", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"),
        *(b"/echo", b"/later", b"/stream", b"/wrong", b"/files/", b"*", b"http://x/echo", b"host: x\r\n", b"\r\n\r\n"),
        *(b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"expect: 100-continue\r\n", b"3\r\nabc\r\n"),
        *(
            b"0\r\n\r\n",
            b"connection: close\r\n",
            b"connection: upgrade\r\nupgrade: h2c\r\n",
            b"\n",
            b"\r",
            b"\0",
            b" ",
        ),
        *(b"ffffffffffffffff\r\n", b"content-encoding: gzip\r\n", b"content-length: 18446744073709551615\r\n"),
    )
    seeds = tuple(
        bytes([len(cuts), *cuts]) + raw
        for cuts in ((), (30,), (9, 60, 61))
        for raw in (
            b"GET /echo?a=1 HTTP/1.1\r\nhost: x\r\n\r\n" * 3,
            b"POST /later HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabcGET /stream HTTP/1.1\r\nhost: x\r\n\r\n",
            b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nx: y\r\n\r\n",
            b"HEAD /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\na",
            b"GET /stream HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET /wrong HTTP/1.0\r\n\r\n",
            b"POST /echo HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\ncontent-length: 3\r\n\r\nabc",
            b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\nGET /files/%2e?%ff HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        )
    )

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    def __call__(self, data: bytes) -> None:
        """Cold, warm and whole must mean the same."""
        cuts, raw = sorted(data[1 : 1 + data[0] % 8] if data else b""), data[1 + (data[0] % 8 if data else 0) :]
        pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True) if start < end]
        routes = _routes()
        first, *others = (
            answers_of(self.rig.talk(table, parts, SMALL), b"HEAD " in raw)
            for table, parts in ((routes, pieces), (routes, pieces), (_routes(), [raw]))
        )
        for code, _ in first:
            if code != 200 and code not in REFUSALS:
                raise Crash(f"status {code}")
        for other in others:
            statuses = {code for code, _ in (*first, *other)}
            if _meaning(first) != _meaning(other) and not statuses & LIMITS:
                raise Crash(f"{first!r} in pieces, {other!r} warm or whole")


def _meaning(answers: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """What a client may do with answers: which words an error has, and whether 501 or 400, depends on the pieces."""
    return [(400 if code == 501 else code, b"" if code >= 400 else body) for code, body in answers]


def _routes() -> Routes:
    async def echo(call: Call) -> Reply:
        return json_reply([call.method.decode(), call.path.decode("latin-1"), call.body.decode("latin-1")])

    async def later(call: Call) -> Reply:
        await asyncio.sleep(0)
        return await echo(call)

    async def wrong(call: Call) -> Reply:
        raise BadRequest("`x` is wrong")

    async def stream(call: Call) -> Reply:
        async def pieces() -> AsyncIterator[bytes]:
            for i in range(2):
                await asyncio.sleep(0)
                yield b"data: %d\n\n" % i

        return Reply(200, content_type=EVENTS, stream=pieces())

    table = Routes()
    for method in ("GET", "POST"):
        for path, answer in {"/echo": echo, "/later": later, "/files/*": echo, "/stream": stream}.items():
            table.add(method, path, answer)
    table.add("GET", "/wrong", wrong)
    return table


class Model:
    """A deployment with an input of each kind, which answers at once."""

    name = "model"
    signature = Signature(
        {
            "x": Field(),
            "pair": Field(width=2, nullable=True),
            "kind": Field("category"),
            "n": Field("integer"),
            "on": Field("boolean"),
        },
        {"probability": Field()},
    )
    versions = ("0" * 64,)
    ready = True

    def version(self, release: str) -> Handler:
        return self

    async def __call__(self, request: Request) -> Response:
        for name, field in self.signature.inputs.items():
            tensor = request.inputs[name]
            if len(tensor.data) != request.n * field.width or tensor.shape[0] != request.n:
                raise Crash(f"{tensor!r} passed the check")
        n = request.n
        return Response(
            request.id, {"probability": Tensor("probability", "FP32", (n,), [0.5] * n)}, confidence=[0.5] * n
        )


_INPUTS = (
    '{"name":"x","datatype":"FP32","shape":[1],"data":[1.5]},'
    '{"name":"pair","datatype":"FP64","shape":[1,2],"data":[[null,2]]},'
    '{"name":"kind","datatype":"BYTES","shape":[1,1],"data":["a\\u00e9"]},'
    '{"name":"n","datatype":"INT64","shape":[1],"data":[-7]},'
    '{"name":"on","datatype":"BOOL","shape":[1],"data":[true]}'
)
_WORDS = (
    *(b"[", b"]", b"{", b"}", b"null", b"NaN", b"-Infinity", b"1e999", b"-0", b"9223372036854775808", b'"', b"\\ud800"),
    *(b"true", b"1.0000000000000001", b'"id":', b'"parameters":{"at":1,"key":"k","tags":{"a":"b"},"timeout":5}', b","),
    *(b"18446744073709551616", b'"shape":[', b'"datatype":"FP16"', b'"datatype":"BYTES"', b'"data":[', b"\xff", b"\0"),
    *(b'"binary_data_output":true', b'"outputs":[{"name":"probability"}]', b'"priority":3', b'"binary_data_size":4'),
)


class Json:
    """Bytes as the JSON body of one of our two protocols."""

    tokens = _WORDS
    seeds = (
        b'0{"inputs":[' + _INPUTS.encode() + b"]}",
        b'0{"id":"r1","inputs":[' + _INPUTS.encode() + b'],"parameters":{"key":"k","at":5.5,"tags":{"a":"b"}}}',
        b'0{"inputs":[' + _INPUTS.encode() + b'],"outputs":[{"name":"probability","parameters":{"binary_data":true}}]}',
        b'1{"rows":[{"x":1,"pair":[1,2],"kind":"a","n":7,"on":false}]}',
        b'1{"columns":{"x":[1],"pair":[[1,2]],"kind":["a"],"n":[7],"on":[false]},"parameters":{"priority":1}}',
        b"0" + b"[" * 2000,
        b'1{"rows":' + b'[{"x":' * 500,
    )

    def __init__(self, rig: Rig) -> None:
        self.rig, self._routes = rig, _served()

    def __call__(self, data: bytes) -> None:
        """200 or a refusal, and either is JSON (or bytes, where those were asked for)."""
        path = (b"/v2/models/model/infer", b"/predict")[data[0] % 2 if data else 0]
        _ask(self.rig, self._routes, path, b"", data[1:])


class Binary:
    """Bytes as JSON with tensors behind it; the first two say where the JSON ends."""

    tokens = (*_WORDS, b"\x04\0\0\0", b"\xff\xff\xff\x7f", b"\x01\0\0\0a", b"\0\0\xc0\x7f")

    def __init__(self, rig: Rig) -> None:
        self.rig, self._routes = rig, _served()
        told = re.sub(r'"data":\[.*?\]+\}', '"parameters":{"binary_data_size":%d}}', _INPUTS) % (4, 16, 6, 8, 1)
        head = b'{"inputs":[' + told.encode() + b"]}"
        tensors = b"\0\0\xc0\x3f" + b"\0" * 16 + b"\x02\0\0\0ab" + b"\x07" + b"\0" * 7 + b"\1"
        self.seeds = (len(head).to_bytes(2, "little") + head + tensors, b"\0\0" + tensors)

    def __call__(self, data: bytes) -> None:
        """The same, with the header that says so."""
        length = int.from_bytes(data[:2], "little")
        header = b"inference-header-content-length: %d\r\n" % length
        _ask(self.rig, self._routes, b"/v2/models/model/infer", header, data[2:])


def _served() -> Routes:
    model, routes = Model(), Routes()
    edge = Edge(model.signature, "request", lambda: 1000.0, Random(7))
    OpenInference(model, edge).add_to(routes)
    Plain(model, edge).add_to(routes)
    return routes


def _ask(rig: Rig, routes: Routes, path: bytes, header: bytes, body: bytes) -> None:
    head = b"POST %b HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n" % (path, header, len(body))
    raw = rig.talk(routes, [head + body], Limits())
    ((code, answer),) = answers_of(raw, with_head=False)
    if code not in (200, 400):
        raise Crash(f"status {code}: {answer[:200]!r}")
    if code == 200 and b"octet-stream" not in raw[:200]:
        json.loads(answer)


TARGETS: dict[str, type[Http] | type[Json] | type[Binary]] = {"http": Http, "json": Json, "binary": Binary}
