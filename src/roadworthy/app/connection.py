"""One HTTP/1.1 client on `asyncio.Protocol` and httptools: it parses, keeps the order of answers and holds the limits.

Per request it makes one Call and one slot: no Task, no timer, no framework object. Answers leave in the order of the
requests, and all that are ready in one turn of the loop leave in one write.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import unquote_to_bytes

import httptools

from roadworthy.app.drive import drive
from roadworthy.app.exchange import Call, Refused, Reply, error_reply, written
from roadworthy.app.routes import Routes
from roadworthy.core.errors import RoadworthyError

# What a connection reads now: nothing yet, a head, a body, or only the end of what the client still sends.
_IDLE, _HEAD, _BODY, _LINGER = range(4)


@dataclass(frozen=True)
class Limits:
    """What one client may cost: bytes a request, and seconds between its events, kept to within `tick_seconds`.

    `pipelined` is how many answers a client may be owed before we stop reading from it.
    """

    line_bytes: int = 8 * 1024
    head_bytes: int = 32 * 1024
    body_bytes: int = 8 * 1024 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0
    write_seconds: float = 30.0
    linger_seconds: float = 2.0
    pipelined: int = 256
    tick_seconds: float = 0.5


@dataclass(eq=False)
class Shared:
    """What the connections of one server have in common. `ticks` counts the turns of the one timer."""

    routes: Routes
    limits: Limits
    loop: asyncio.AbstractEventLoop
    date: bytes = b""
    ticks: int = 0
    in_flight: int = 0
    closing: bool = False
    connections: set[Connection] = field(default_factory=set)
    marked: list[Connection] = field(default_factory=list)

    def mark(self, connection: Connection) -> None:
        """Have a connection flushed at the end of this turn of the loop."""
        if not self.marked:
            self.loop.call_soon(self._flush)
        self.marked.append(connection)

    def _flush(self) -> None:
        marked, self.marked = self.marked, []
        for connection in marked:
            connection.flush()


class _Slot:
    """The place of one answer in the order of its connection. It is what a driven handler calls when it ends."""

    __slots__ = ("connection", "head_only", "old", "reply")

    def __init__(self, connection: Connection, head_only: bool = False, old: bool = False) -> None:
        self.connection = connection
        self.head_only = head_only
        self.old = old
        self.reply: Reply | None = None

    def __call__(self, reply: Reply | None, error: BaseException | None) -> None:
        self.reply = reply if error is None else error_reply(error)
        self.connection.answered()


class Connection(asyncio.Protocol):
    """The `on_...` methods are called by the parser, the others by the transport, the server and the slots."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._limits = shared.limits
        self._slots: deque[_Slot] = deque()
        self._state = _IDLE
        self._since = shared.ticks
        self._raw = 0  # bytes of the unfinished request, as they came
        self._completed = False
        self._feeding = False
        self._marked = False
        self._reading = True
        self._ending = False  # nothing more is read; what is owed is answered
        self._half_closed = False
        self._lost = False
        self._refusal: Refused | None = None
        self._streaming = False
        self._blocked: asyncio.Future[None] | None = None  # there while the client does not read

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._shared.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = self._ending = True
        self._shared.connections.discard(self)
        # The parser holds our methods and we hold it: undo the cycle, or memory waits for the collector.
        del self._parser
        self._unblock()

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        self._completed = False
        self._feeding = True
        self._feed(data)
        self._feeding = False
        self._raw = 0 if self._completed else self._raw + len(data)
        if self._raw > self._limits.head_bytes and self._state != _IDLE:
            self._weigh()
        self.flush()

    def eof_received(self) -> bool:
        """A client may stop sending and still wait for its answers."""
        self._half_closed = True
        if self._state in (_HEAD, _BODY):
            self._refuse(Refused(400, "the connection ended before the request did"))
        self._ending = True
        self.flush()
        return bool(self._slots) or self._streaming

    def pause_writing(self) -> None:
        self._blocked = self._shared.loop.create_future()
        self._since = self._shared.ticks
        self._read(False)

    def resume_writing(self) -> None:
        self._unblock()
        self._read(len(self._slots) < self._limits.pipelined)

    def on_message_begin(self) -> None:
        self._state = _HEAD
        self._since = self._shared.ticks
        self._head_bytes = 0
        self._body_bytes = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > self._limits.line_bytes:
            self._stop(414, f"the path may have at most {self._limits.line_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self._limits.head_bytes:
            self._stop(431, f"the headers may have at most {self._limits.head_bytes} bytes")
        if self._state == _BODY:  # a trailer: counted, not used
            return
        headers, name = self._headers, name.lower()
        headers[name] = headers[name] + b", " + value if name in headers else value

    def on_headers_complete(self) -> None:
        headers = self._headers
        self._state = _BODY
        self._since = self._shared.ticks
        if b"host" not in headers and self._parser.get_http_version() == "1.1":
            self._stop(400, "an HTTP/1.1 request needs a `host` header")
        if b"content-length" in headers and int(headers[b"content-length"]) > self._limits.body_bytes:
            self._stop(413, f"the body may have at most {self._limits.body_bytes} bytes")
        if b"upgrade" in headers and (headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers):
            self._stop(400, "there is no protocol to upgrade to: send the body without an `upgrade` header")
        if b"expect" in headers:
            self._expect(headers[b"expect"])

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes:
            self._stop(413, f"the body may have at most {self._limits.body_bytes} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        headers, body, method = self._headers, self._body, self._parser.get_method()
        keep = self._parser.should_keep_alive()
        self._state = _IDLE
        self._completed = True
        self._ending = not keep or self._shared.closing
        old = (not keep or b"connection" in headers) and self._parser.get_http_version() == "1.0"
        slot = _Slot(self, method == b"HEAD", old)
        self._slots.append(slot)
        self._shared.in_flight += 1
        path, _, query = self._url.partition(b"?")
        call = Call(method, _plain(path), query, headers, body[0] if len(body) == 1 else b"".join(body))
        try:
            work = self._shared.routes.find(method, call.path)(call)
        except RoadworthyError as error:
            slot(None, error)
        else:
            drive(work, slot)
        if len(self._slots) >= self._limits.pipelined:
            self._read(False)

    def answered(self) -> None:
        """A slot has its answer: have it written with the others of this turn."""
        self._shared.in_flight -= 1
        if not self._feeding and not self._marked and not self._lost:
            self._marked = True
            self._shared.mark(self)

    def flush(self) -> None:
        """Write every answer that is ready and next in order."""
        self._marked = False
        slots, out = self._slots, []
        pump = None
        while slots and (reply := slots[0].reply) is not None and not self._streaming:
            slot = slots.popleft()
            if reply.stream is not None:
                self._streaming = True
                self._ending = self._ending or slot.old
                pump = self._pump(reply.stream, slot)
            last = self._ending and not slots
            out.append(written(reply, self._shared.date, last, slot.old, slot.head_only))
        if out and not self._lost:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        if pump is not None:
            drive(pump, self._pumped)
        elif not slots and not self._streaming:
            self._settle()

    def end(self) -> None:
        """Close as soon as what has arrived is answered; a request that is half here may come in whole."""
        if self._state == _IDLE:
            self._ending = True
            self.flush()

    def cut(self) -> None:
        """Close now, whatever is owed."""
        self._transport.abort()

    def check(self) -> None:
        """Called each tick: has this client taken too long?"""
        limits, state = self._limits, self._state
        seconds = (self._shared.ticks - self._since) * limits.tick_seconds
        if self._blocked is not None:
            if seconds > limits.write_seconds:
                self._transport.abort()
        elif state == _HEAD and seconds > limits.head_seconds:
            self._refuse(Refused(408, f"the head of the request took more than {limits.head_seconds:g} s"))
        elif state == _BODY and seconds > limits.body_seconds:
            self._refuse(Refused(408, f"the body of the request took more than {limits.body_seconds:g} s"))
        elif state == _LINGER and seconds > limits.linger_seconds:
            self._transport.abort()
        elif state == _IDLE and not self._slots and not self._streaming and seconds > limits.idle_seconds:
            self._transport.close()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # We speak HTTP/1.1 only, and a server may ignore an offer: the request is answered as it stands.
            rest = data[upgrade.args[0] :]
            if rest and not self._ending:
                self._feed(rest)
        except httptools.HttpParserError as wrong:
            if self._refusal is not None:
                self._refuse(self._refusal)
            elif isinstance(wrong, httptools.HttpParserCallbackError) and wrong.__context__ is not None:
                self._refuse(wrong.__context__)
            elif not self._ending:
                self._refuse(Refused(400, f"this is not HTTP/1.1: {wrong}"))

    def _stop(self, status: int, message: str) -> None:
        self._refusal = Refused(status, message)
        raise self._refusal

    def _refuse(self, error: BaseException) -> None:
        slot = _Slot(self)
        slot.reply = error_reply(error)
        self._slots.append(slot)
        self._state = _IDLE
        self._ending = True
        if not self._feeding:
            self.flush()

    def _weigh(self) -> None:
        # The parser holds an unfinished header back, and chunks may be mostly frame: count what really came.
        limits = self._limits
        if self._state == _HEAD and self._raw > limits.head_bytes + limits.line_bytes:
            self._refuse(Refused(431, f"the headers may have at most {limits.head_bytes} bytes"))
        elif self._raw > 8 * limits.body_bytes + limits.head_bytes + limits.line_bytes:
            self._refuse(Refused(413, f"the body may have at most {limits.body_bytes} bytes"))

    def _expect(self, what: bytes) -> None:
        if what.lower() != b"100-continue":
            self._stop(417, f"`expect` may be '100-continue', got {what.decode('latin-1')!r}")
        # In order with the answers that are still owed, or the client takes it for one of those.
        slot = _Slot(self)
        slot.reply = Reply(100)
        self._slots.append(slot)

    async def _pump(self, pieces: AsyncGenerator[bytes, None], slot: _Slot) -> None:
        try:
            if not slot.head_only:
                async for piece in pieces:
                    self._write_piece(piece, slot.old)
                    if self._blocked is not None:
                        await self._blocked
                    if self._lost:
                        return
        finally:
            await pieces.aclose()
        if not (slot.old or slot.head_only or self._lost):
            self._transport.write(b"0\r\n\r\n")

    def _write_piece(self, piece: bytes, old: bool) -> None:
        if piece and not self._lost:  # an empty chunk would end the body
            self._transport.write(piece if old else b"%x\r\n%b\r\n" % (len(piece), piece))

    def _pumped(self, _: None, error: BaseException | None) -> None:
        self._streaming = False
        if error is not None:
            # The head is out, so the only honest sign of failure left is a body without its end.
            error_reply(error)
            self.cut()
        elif not self._lost:
            self._since = self._shared.ticks
            self._shared.mark(self)

    def _settle(self) -> None:
        if self._lost or self._state == _LINGER:
            return
        if self._ending:
            self._finish()
        elif self._state == _IDLE:
            self._since = self._shared.ticks
            self._read(self._blocked is None)

    def _finish(self) -> None:
        """Say that we are done and wait for the client to hang up: closing on unread bytes would destroy the answer."""
        if self._half_closed:
            self._transport.close()
            return
        self._state = _LINGER
        self._since = self._shared.ticks
        self._transport.write_eof()
        self._read(True)

    def _read(self, on: bool) -> None:
        if on == self._reading or self._lost:
            return
        self._reading = on
        (self._transport.resume_reading if on else self._transport.pause_reading)()

    def _unblock(self) -> None:
        if self._blocked is not None and not self._blocked.done():
            self._blocked.set_result(None)
        self._blocked = None


def _plain(path: bytes) -> bytes:
    """The path alone, unescaped: clients that speak to a proxy send `http://host/path`."""
    if not path.startswith(b"/") and b"://" in path:
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    return unquote_to_bytes(path) if b"%" in path else path
