"""An HTTP/1.1 client on asyncio: kept-alive connections with one request each, and bodies as they arrive.

A connection carries one request at a time, so that no answer waits behind another one and latencies are the server's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import httptools

from roadworthy.app.client import Lost
from roadworthy.core.errors import BadData, BadRequest, Late, Overloaded, RoadworthyError


class Answered(NamedTuple):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """What is asked of one server. An answer takes `timeout_seconds` at most, from the asking to its last byte.

    Runs on one event loop; `async with Wire(...)` closes the connections at the end. The certificate of an https
    server is verified against the system's, or against `context`.
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float = 60.0,
        headers: Mapping[str, str] | None = None,
        connections: int = 8192,
        context: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadRequest(f"the URL must be http://host:port or https://host:port, got {url!r}")
        if timeout_seconds <= 0:
            raise BadRequest(f"`timeout_seconds` must be above 0, got {timeout_seconds!r}")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self.base = parts.path.rstrip("/")
        self.timeout_seconds, self.connections = timeout_seconds, connections
        self._host, self._port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = (context or ssl.create_default_context()) if parts.scheme == "https" else None
        told = {
            "host": parts.netloc.rpartition("@")[2],
            **{name.lower(): value for name, value in (headers or {}).items()},
        }
        self._headers = "".join(f"{_clean(name)}: {_clean(value)}\r\n" for name, value in told.items())
        self._idle: list[_Line] = []
        self._open: set[_Line] = set()
        self._making = 0

    def __repr__(self) -> str:
        return f"Wire({self.url + self.base!r})"

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        # A transport lets go of its socket in the next turn of the loop.
        await asyncio.sleep(0)

    def close(self) -> None:
        """Hang up; what is in flight fails with Lost."""
        for line in tuple(self._open):
            line.hang_up()
        self._idle.clear()

    async def ask(self, method: str, path: str, body: bytes = b"", deadline: float | None = None) -> Answered:
        """The whole answer, whatever its status. `deadline` is on the clock of `time.monotonic`."""
        incoming = await self.send(method, path, body, deadline)
        return Answered(incoming.status, incoming.headers, await incoming.read())

    async def send(self, method: str, path: str, body: bytes = b"", deadline: float | None = None) -> Incoming:
        """An answer whose head has come, and whose body is still to be read.

        Raises Lost, Late, BadData for what is no HTTP, or Overloaded where every connection is taken. A request is
        sent again, once, only when a kept connection turns out to have been closed before.
        """
        seconds = self.timeout_seconds if deadline is None else min(self.timeout_seconds, deadline - time.monotonic())
        if seconds <= 0:
            raise Late("the deadline had passed before the request was sent")
        content = (
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n" if body or method == "POST" else ""
        )
        raw = f"{method} {path} HTTP/1.1\r\n{self._headers}{content}\r\n".encode("latin-1") + body
        while self._idle:
            line = self._idle.pop()
            if line.lost:
                continue
            try:
                return await self._exchange(line, raw, seconds)
            except _Stale:
                break
        return await self._exchange(await self._connect(seconds), raw, seconds)

    async def _exchange(self, line: _Line, raw: bytes, seconds: float) -> Incoming:
        line.begin(raw, seconds)
        try:
            await line.head()
        except BaseException:
            line.hang_up()
            raise
        return Incoming(line, self._idle)

    async def _connect(self, seconds: float) -> _Line:
        if len(self._open) + self._making >= self.connections:
            raise Overloaded(
                f"all {self.connections} connections wait for an answer: the server is slower than the rate"
            )
        line = _Line(self.url, self._open)
        loop = asyncio.get_running_loop()
        work = loop.create_task(loop.create_connection(lambda: line, self._host, self._port, ssl=self._tls))
        timer = loop.call_later(seconds, work.cancel, "late")
        self._making += 1
        try:
            await work
        except OSError as wrong:
            raise _unreachable(self.url, wrong) from wrong
        except asyncio.CancelledError as cancelled:
            if cancelled.args != ("late",):
                work.cancel()
                raise
            raise Late(f"no connection to {self.url} within {self.timeout_seconds:g} s") from None
        finally:
            self._making -= 1
            timer.cancel()
        return line


class Incoming:
    """An answer whose head has come: `read` gives the whole body, `pieces` its parts as they arrive."""

    def __init__(self, line: _Line, idle: list[_Line]) -> None:
        self.status, self.headers = line.status, line.headers
        self._line, self._idle = line, idle
        self._over = False

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The parts as they arrive. Raises Lost where the server dies in mid-answer, and Late."""
        try:
            while (piece := await self._line.piece()) is not None:
                yield piece
            self._over = True
            if self._line.rest():
                self._idle.append(self._line)
        finally:
            self.close()

    def close(self) -> None:
        """Give up on what has not come yet: there is no telling how much it is, so the connection ends."""
        if not self._over:
            self._over = True
            self._line.hang_up()


class _Stale(Lost):
    """A kept connection that had been closed while nobody used it: no byte of an answer has come."""


class _Line(asyncio.Protocol):
    """One connection: a request out, its answer in."""

    def __init__(self, url: str, open_lines: set[_Line]) -> None:
        self.lost = False
        self.status, self.headers = 0, dict[str, str]()
        self._url, self._open_lines = url, open_lines
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: deque[bytes] = deque()
        self._asked = 0
        self._under_way = self._headed = self._ended = self._touched = False
        self._wrong: RoadworthyError | None = None
        self._news: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, raw: bytes, seconds: float) -> None:
        """Send a request; its answer must be whole after `seconds`."""
        self.status, self.headers = 0, {}
        self._headed = self._ended = self._touched = False
        self._under_way = True
        self._asked += 1
        late = Late(f"no whole answer from {self._url} within {seconds:g} s")
        self._timer = asyncio.get_running_loop().call_later(seconds, self._give_up, late)
        self._transport.write(raw)

    async def head(self) -> None:
        """Wait until status and headers are there. Raises what went wrong before."""
        while not self._headed:
            await self._wait()

    async def piece(self) -> bytes | None:
        """The next part of the body, None at its end."""
        while not self._pieces:
            if self._ended:
                return None
            await self._wait()
        return self._pieces.popleft()

    def rest(self) -> bool:
        """The answer is whole: can the connection be used again?"""
        self._settle()
        return not (self.lost or self._transport.is_closing())

    def hang_up(self) -> None:
        """Close at once, whatever is on its way."""
        self._settle()
        self.lost = True
        self._fail(Lost("the connection was closed on this side"))
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open_lines.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._open_lines.discard(self)
        if self._under_way and not self._ended:
            self._cut(error)
        # The parser and this protocol hold each other.
        del self._parser

    def data_received(self, data: bytes) -> None:
        self._touched = True
        if not self._under_way:
            self._transport.abort()  # nobody asked; a server that tells why it closes an idle connection, say
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as wrong:
            what = "does not speak HTTP there" if not self._headed else f"broke HTTP in mid-answer ({wrong})"
            self._fail(BadData(f"{self._url} {what}; is it the right port, and http:// rather than https://?"))
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self._headed = True
            self._wake()

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._wake()

    def on_message_complete(self) -> None:
        if self.status < 200:
            self.headers = {}
            return
        self._end()
        if not self._parser.should_keep_alive():
            self._transport.close()

    def _cut(self, error: Exception | None) -> None:
        """The connection ended: as it should, where only that tells the end of the body."""
        measured = "content-length" in self.headers or "transfer-encoding" in self.headers
        if self._headed and not measured and error is None:
            self._end()
        elif self._headed:
            self._fail(Lost(f"{self._url} hung up in mid-answer ({_named(error)})"))
        elif self._asked > 1 and not self._touched:
            self._fail(_Stale(f"{self._url} hung up before it answered ({_named(error)})"))
        else:
            self._fail(Lost(f"{self._url} hung up before it answered ({_named(error)})"))

    def _end(self) -> None:
        self._ended = True
        self._wake()

    def _fail(self, wrong: RoadworthyError) -> None:
        if self._wrong is None and not self._ended:
            self._wrong = wrong
        self._wake()

    def _give_up(self, late: Late) -> None:
        # Whether or not somebody still reads: an answer that comes now would be taken for the next one's.
        self._fail(late)
        self._transport.abort()

    def _settle(self) -> None:
        self._under_way = False
        if self._timer is not None:
            self._timer.cancel()

    async def _wait(self) -> None:
        if self._wrong is not None:
            raise self._wrong
        self._news = asyncio.get_running_loop().create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


def _clean(text: str) -> str:
    if any(sign in text for sign in "\r\n\0"):
        raise BadRequest(f"a header must be one line, got {text!r:.60}")
    return text


def _named(error: Exception | None) -> str:
    return "closed" if error is None else type(error).__name__


def _unreachable(url: str, wrong: OSError) -> RoadworthyError:
    """What cannot be connected to, and what to do about it."""
    if isinstance(wrong, ssl.SSLCertVerificationError):
        return Lost(f"{url} shows a certificate that cannot be trusted ({wrong.verify_message}); name the authority")
    if isinstance(wrong, ssl.SSLError | ConnectionAbortedError):
        told = getattr(wrong, "reason", None) or wrong
        return Lost(f"{url} does not speak TLS ({told}); write http:// if it has none")
    if isinstance(wrong, socket.gaierror):
        return Lost(f"no host is known for {url} ({wrong.strerror}); correct the name")
    if isinstance(wrong, ConnectionRefusedError):
        return Lost(f"nobody listens at {url}; start the server, or correct the port")
    if isinstance(wrong, ConnectionResetError):
        return Lost(f"{url} hung up while connecting; does it speak TLS, or is its port full?")
    return Lost(f"no connection to {url}: {wrong.strerror or wrong}")
