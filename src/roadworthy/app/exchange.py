"""Call and Reply: one HTTP request as it came and its answer as bytes; no sockets, no routes, no models."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import orjson
from msgspec import Struct

from roadworthy.core.errors import RoadworthyError

log = logging.getLogger(__name__)

JSON = b"application/json"
EVENTS = b"text/event-stream"


class Refused(RoadworthyError):
    """A request that breaks the protocol or a limit, with the status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Call(Struct, frozen=True):
    """One HTTP request as it came: `path` without the query, header names in lower case."""

    method: bytes
    path: bytes
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes


class Reply(Struct, frozen=True):
    """What goes back. With `stream` the body is sent in chunks as the pieces arrive, and `body` is ignored."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    stream: AsyncGenerator[bytes, None] | None = None


Answer = Callable[[Call], Coroutine[Any, Any, Reply]]


def json_reply(value: Any, status: int = 200) -> Reply:
    """A reply with a JSON body; msgspec Structs are written as objects."""
    return Reply(status, msgspec.json.encode(value))


def error_reply(error: BaseException) -> Reply:
    """The reply that tells a caller what was refused. A defect of ours is logged, and not shown."""
    if isinstance(error, RoadworthyError):
        if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("a request failed: %s", error)
        after = error.retry_after
        wait = () if after is None else ((b"retry-after", b"%d" % max(1, round(after))),)
        return Reply(error.status, orjson.dumps({"error": str(error)}), headers=wait)
    if isinstance(error, asyncio.CancelledError):
        return Reply(503, b'{"error":"the server stopped before it could answer; send the request again"}')
    if isinstance(error, TimeoutError):
        return Reply(504, orjson.dumps({"error": str(error) or "the answer took longer than its deadline"}))
    log.error("a handler failed on a request", exc_info=error)
    return Reply(500, b'{"error":"the server failed on this request; its log says why"}')


def written(reply: Reply, date: bytes, last: bool = False, old: bool = False, head_only: bool = False) -> bytes:
    """The bytes of a reply. `last` ends the connection; `old`: HTTP/1.0, which must be told that it stays open."""
    if reply.status == 100:
        return b"HTTP/1.1 100 Continue\r\n\r\n"
    head = _start(reply.status, reply.content_type) + date
    for name, value in reply.headers:
        head += b"%b: %b\r\n" % (name, value)
    if last:
        head += b"connection: close\r\n"
    elif old:
        head += b"connection: keep-alive\r\n"
    if reply.stream is not None:
        return head + (b"\r\n" if old else b"transfer-encoding: chunked\r\n\r\n")
    return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(reply.body), b"" if head_only else reply.body)


@functools.lru_cache(maxsize=128)
def _start(status: int, content_type: bytes) -> bytes:
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\n" % (status, HTTPStatus(status).phrase.encode(), content_type)
