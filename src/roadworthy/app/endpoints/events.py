"""Server-sent events out of the bytes of a body, as they arrive (the WHATWG's `text/event-stream`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from roadworthy.core.errors import BadData

_FIELDS = (b"data", b"event", b"id", b"retry")


class Event(NamedTuple):
    """One event; `name` is empty where it has none."""

    name: bytes
    data: bytes


async def events(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[Event, None]:
    """The events in order. An event without its closing empty line is dropped, as the standard has it.

    The standard also drops lines that it does not know. Here they are refused (BadData): whoever measures a model must
    not take half of its answer for the whole.
    """
    name, data = b"", list[bytes]()
    async with aclosing(_lines(pieces)) as lines:
        async for line in lines:
            if not line:
                if data:
                    yield Event(name, b"\n".join(data))
                name, data = b"", []
                continue
            field, _, value = line.partition(b":")
            if field and field not in _FIELDS:
                raise BadData(f"a line of the stream is no server-sent event: {line[:60]!r}")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value


async def _lines(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The lines that are whole, by whichever end of line."""
    rest = b""
    async with aclosing(pieces):
        async for piece in pieces:
            # A lone CR at the end may be the half of a CRLF.
            *lines, rest = (rest + piece).replace(b"\r\n", b"\n").split(b"\n")
            for line in lines:
                for part in line.split(b"\r"):
                    yield part
