"""The connections of a mock endpoint: HTTP/1.1 in, and answers out in parts, cut or reset where that is asked for."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

import httptools

Ask = Callable[["Asked", "Place"], None]


class Asked(NamedTuple):
    """One request as it came."""

    method: str
    path: str
    body: bytes


class Place:
    """The place of one answer among those that its connection owes; what is written early waits for its turn."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.waiting: list[bytes] = []
        self.over = False

    def write(self, data: bytes) -> None:
        """Send a part of the answer."""
        self.waiting.append(data)
        self._line.flush()

    def end(self) -> None:
        """The answer is whole."""
        self.over = True
        self._line.flush()

    def cut(self) -> None:
        """End the connection in the middle of what was written."""
        self._line.cut()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self._line.reset()


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, ask: Ask, lines: set[Line]) -> None:
        self._ask, self._lines = ask, lines
        self._owed: deque[Place] = deque()
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._body = b"", list[bytes]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._lines.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._lines.discard(self)
        self._owed.clear()
        del self._parser

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        asked = Asked(self._parser.get_method().decode(), self._url.partition(b"?")[0].decode(), b"".join(self._body))
        self._url, self._body = b"", []
        place = Place(self)
        self._owed.append(place)
        self._ask(asked, place)

    def flush(self) -> None:
        """Write what is next in order."""
        while self._owed and not self._transport.is_closing():
            place = self._owed[0]
            if place.waiting:
                self._transport.write(b"".join(place.waiting))
                place.waiting.clear()
            if not place.over:
                return
            self._owed.popleft()

    def cut(self) -> None:
        """Close when what was written is out."""
        self._transport.close()

    def reset(self) -> None:
        """Close at once, as a process does that dies with unread bytes."""
        peer = self._transport.get_extra_info("socket")
        if peer is not None and not self._transport.is_closing():
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def head(status: int, kind: str, length: int | None = None, more: str = "") -> bytes:
    """The head of an answer; without a length its body comes in chunks."""
    framed = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    word = "OK" if status == 200 else "No"
    return f"HTTP/1.1 {status} {word}\r\ncontent-type: {kind}\r\n{more}{framed}\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    """A chunk of a body; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)
