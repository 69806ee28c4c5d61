"""Remote makes a deployment behind HTTP a Handler like any other; Admin speaks to its second listener.

A lost connection fails the requests in flight on it, for nobody knows whether they were answered: the caller sends
them again with the same id, which is recorded once. The next request connects anew.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections import deque
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import msgspec
import numpy as np
import orjson
from msgspec import Struct

from roadworthy.app.answer_parameters import AnswerParameters
from roadworthy.core.errors import BadRequest, Missing, Overloaded, RoadworthyError, Taken
from roadworthy.core.record import Label
from roadworthy.core.wire import Request, Response, Tensor


class Lost(RoadworthyError, ConnectionError):
    """The server went away before it answered; send the request again with the same id."""

    status = 502


class _Answer(Struct):
    id: str
    outputs: list[Tensor]
    parameters: AnswerParameters


_ANSWERS = msgspec.json.Decoder(_Answer)


class Remote:
    """A Handler over Open Inference V2, `pipelined` requests deep on each of `connections` kept-alive connections.

    Runs on one event loop; `async with Remote(...)` closes the connections at the end.
    """

    def __init__(self, url: str, deployment: str, connections: int = 4, pipelined: int = 64) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise BadRequest(f"`url` must be http://host:port, got {url!r}")
        self.url, self.deployment, self.pipelined = url, deployment, pipelined
        self._host, self._port = parts.hostname, parts.port or 80
        path = f"{parts.path.rstrip('/')}/v2/models/{deployment}/infer"
        self._start = f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-length: ".encode()
        self._lines: list[_Line | None] = [None] * connections
        self._doors = [asyncio.Lock() for _ in range(connections)]
        self._room = asyncio.Semaphore(connections * pipelined)
        self._turn = 0

    def __repr__(self) -> str:
        return f"Remote({self.url!r}, {self.deployment!r})"

    async def __aenter__(self) -> Remote:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        # A transport lets go of its socket in the next turn of the loop.
        await asyncio.sleep(0)

    async def __call__(self, request: Request) -> Response:
        """The remote answer. Raises what the server refused as the same error, and Lost when it went away."""
        async with self._room:
            line = await self._line()
            body = _body(request)
            status, answer = await line.ask(b"%b%d\r\n\r\n%b" % (self._start, len(body), body))
        if status != 200:
            raise _error(status, answer, self.url)
        read = _ANSWERS.decode(answer)
        return read.parameters.response(read.id, read.outputs)

    def close(self) -> None:
        """Hang up; what is in flight fails with Lost."""
        for line in self._lines:
            if line is not None:
                line.hang_up()

    async def _line(self) -> _Line:
        """The next connection in turn, made anew where it was lost."""
        i = self._turn = (self._turn + 1) % len(self._lines)
        line = self._lines[i]
        if line is not None and not line.lost:
            return line
        async with self._doors[i]:
            line = self._lines[i]
            if line is None or line.lost:
                line = self._lines[i] = await self._connect()
        return line

    async def _connect(self) -> _Line:
        try:
            _, line = await asyncio.get_running_loop().create_connection(_Line, self._host, self._port)
        except OSError as wrong:
            raise Lost(f"no server answers at {self.url}: {wrong}") from wrong
        return line


class _Line(asyncio.Protocol):
    """One connection: requests out, answers in, in the same order."""

    def __init__(self) -> None:
        self.lost = False
        self._owed: deque[asyncio.Future[tuple[int, bytes]]] = deque()
        self._out: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """The status and the body that answer this request."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[int, bytes]] = loop.create_future()
        if self.lost:
            answer.set_exception(Lost("the connection was lost before the request was sent; send it again"))
            return answer
        self._owed.append(answer)
        if not self._out:
            loop.call_soon(self._send)
        self._out.append(request)
        return answer

    def hang_up(self) -> None:
        self._send()
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        del self._parser
        reason = f"the server hung up with {len(self._owed)} requests in flight ({error or 'closed'})"
        for answer in self._owed:
            if not answer.done():
                answer.set_exception(Lost(f"{reason}; send them again with the same ids"))
        self._owed.clear()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()  # whoever waits is told by connection_lost

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 100:
            return
        body, self._body = b"".join(self._body), []
        answer = self._owed.popleft()
        if not answer.done():
            answer.set_result((status, body))
        if not self._parser.should_keep_alive():
            self.lost = True
            self._transport.close()

    def _send(self) -> None:
        out, self._out = self._out, []
        if out and not self.lost:
            self._transport.write(b"".join(out))


class Admin:
    """The server's second listener, for whoever may change things: plain calls that block."""

    def __init__(self, url: str, seconds: float = 600.0) -> None:
        self.url, self._seconds = url, seconds
        self._address = urlsplit(url if "//" in url else f"http://{url}").netloc

    def status(self) -> dict[str, Any]:
        """What the server is doing: deployment, traffic, counts."""
        return self._ask("GET", "/status")

    def sync(self) -> dict[str, Any]:
        """Apply the traffic that the store says now and finish mirrored work; returns the new status."""
        return self._ask("POST", "/sync")

    def label(self, labels: Sequence[Label]) -> dict[str, Any]:
        """Tell what became of predictions. Returns the counts of kept, repeated, conflicting and unknown ones."""
        return self._ask("POST", "/labels", msgspec.json.encode(labels))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._address, timeout=self._seconds)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            status, raw = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as wrong:
            raise Lost(f"no server answers at {self.url}: {wrong}") from wrong
        finally:
            connection.close()
        if status != 200:
            raise _error(status, raw, self.url)
        told: dict[str, Any] = json.loads(raw)
        return told


def _body(request: Request) -> bytes:
    parameters: dict[str, Any] = {**request.parameters, "at": request.at}
    if request.key:
        parameters["key"] = request.key
    if request.tags:
        parameters["tags"] = request.tags
    inputs = [
        {"name": name, "datatype": tensor.datatype, "shape": tensor.shape, "data": _flat(tensor.data)}
        for name, tensor in request.inputs.items()
    ]
    body = {"id": request.id, "inputs": inputs, "parameters": parameters}
    try:
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as wrong:
        raise BadRequest(
            f"request {request.id!r} cannot be written as JSON: {wrong}; allowed: whole numbers of up to 64 bits, and "
            "text without half of a character"
        ) from wrong


def _flat(data: Any) -> Any:
    """A flat list or a numeric array, NaN being null (orjson writes it so)."""
    if not isinstance(data, np.ndarray):
        return data
    return data.reshape(-1).tolist() if data.dtype == object else np.ascontiguousarray(data).reshape(-1)


def _error(status: int, body: bytes, url: str) -> RoadworthyError:
    try:
        message = str(orjson.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        message = f"{url} answered {status}"
    kinds: dict[int, type[RoadworthyError]] = {400: BadRequest, 404: Missing, 409: Taken, 503: Overloaded}
    return kinds.get(status, RoadworthyError)(message)
