"""A model on another server that speaks Open Inference V2: Triton, MLServer, KServe, another Roadworthy."""

from __future__ import annotations

import http.client
import os
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, Denied, Late, Missing, Overloaded, RoadworthyError, SpecError
from roadworthy.core.spec import Field, Signature
from roadworthy.serve.base import engine
from roadworthy.serve.ports import ARRAYS, Port, check_ports, feed, kind_of, taken
from roadworthy.serve.v2_body import read_answer, write_request

_LENGTH = "Inference-Header-Content-Length"
# How a connection fails that the server had closed while nobody used it: no byte of an answer has come.
_DEAD = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
_PIECE_BYTES = 1 << 18


class Unreachable(RoadworthyError, ConnectionError):
    """The other server does not answer, or fails."""

    status = 502


class Answer(NamedTuple):
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@engine("remote")
@dataclass(frozen=True)
class Remote:
    """The model `model` of an Open Inference V2 server at `url`, asked over kept-alive HTTP connections.

    Arrays go as raw bytes where the server announces that it takes them, else as JSON. An input of the remote model
    takes the column of its name, or its one input takes all columns; `inputs` says otherwise. `output` renames the one
    answer. `headers` maps a header to the environment variable that holds its value, so that no token stands in a
    release: `headers: {Authorization: TRITON_AUTHORIZATION}`. An answer takes `timeout_seconds` at most. A request is
    sent again, once, only when the kept connection turns out to have been closed before. The release's file is whatever
    describes that model; it is kept and not read.
    """

    url: str
    model: str
    version: str = ""
    timeout_seconds: float = 30.0
    headers: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    output: str = ""
    most_bytes: int = 1 << 30

    waits: ClassVar[bool] = True

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"`url` must be http://host:port or https://host:port, got {self.url!r}")
        if parts.username or parts.password:
            raise ValueError("`url` must not hold a password: name an environment variable in `headers`")
        if self.timeout_seconds <= 0:
            raise ValueError(f"`timeout_seconds` must be above 0, got {self.timeout_seconds!r}")

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs of shape (n,) or (n, k). Raises Late, Overloaded, Denied, Missing, BadData or Unreachable."""
        if not len(next(iter(columns.values()), ())):
            # Not every server takes no rows; an empty row tells how the answer would look.
            one = {name: _blank(values) for name, values in columns.items()}
            return {name: values[:0] for name, values in self(one).items()}
        ports, have = self._ports, tuple(columns)
        fed = {port.name: feed(columns, taken(port, ports, have, self.inputs), port) for port in ports} or columns
        body = write_request(fed, self._binary)
        told = {} if body.json_bytes is None else {_LENGTH: str(body.json_bytes)}
        answer = self._ask("POST", f"{self._path}/infer", body.data, told)
        length = answer.headers.get(_LENGTH.lower())
        found = read_answer(answer.body, None if length is None else int(length))
        flat = {name: values[:, 0] if values.shape[1:] == (1,) else values for name, values in found.items()}
        return {self.output: next(iter(flat.values()))} if self.output and len(flat) == 1 else flat

    def check(self, signature: Signature) -> None:
        """Raise BadData naming the first input that the remote model wants and the signature does not promise."""
        check_ports(self._ports, signature, self.inputs, f"{self.url}{self._path}")

    def describe_remote(self) -> Signature:
        """What the remote model takes and answers, as it tells itself."""
        outputs = {told["name"]: _port(told) for told in self._metadata.get("outputs") or ()}
        answers = {name: Field(kind_of(port.datatype), width=port.width or 1) for name, port in outputs.items()}
        return Signature({port.name: port.field for port in self._ports}, answers)

    @classmethod
    def example(cls, folder: Path) -> tuple[Remote, dict[str, NDArray[Any]]]:
        """A small server on this machine, and rows for it: what the laws run every engine on."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), Doubling)
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        made = cls(f"http://127.0.0.1:{server.server_port}", "doubling", timeout_seconds=10.0)
        weakref.finalize(made, _stop, server)
        rows = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
        return made, {"x": rows, "name": np.array([["a"], ["ö"], ["c"], [""], ["e"], ["f"]], dtype=object)}

    @property
    def _path(self) -> str:
        version = f"/versions/{quote(self.version, safe='')}" if self.version else ""
        return f"/v2/models/{quote(self.model, safe='')}{version}"

    @cached_property
    def _metadata(self) -> Mapping[str, Any]:
        return _object(self._ask("GET", self._path).body, self.url)

    @cached_property
    def _ports(self) -> tuple[Port, ...]:
        """What the remote model says that it takes; nothing where it does not tell, as MLServer may."""
        return tuple(_port(told) for told in self._metadata.get("inputs") or ())

    @cached_property
    def _binary(self) -> bool:
        told = _object(self._ask("GET", "/v2").body, self.url)
        return "binary_tensor_data" in (told.get("extensions") or ())

    @cached_property
    def _idle(self) -> list[http.client.HTTPConnection]:
        """Connections that nobody uses now. Taking from and adding to a list is safe between threads."""
        idle: list[http.client.HTTPConnection] = []
        weakref.finalize(self, _close, idle)
        return idle

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        sent = {**self._secrets(), **(headers or {})}
        try:
            answer = self._exchange(method, urlsplit(self.url).path.rstrip("/") + path, body, sent)
        except TimeoutError as late:
            raise Late(f"{self.url} did not answer within {self.timeout_seconds:g} s") from late
        except (OSError, http.client.HTTPException) as wrong:
            raise Unreachable(f"no answer from {self.url}: {type(wrong).__name__}: {wrong}") from wrong
        if answer.status != 200:
            raise _refusal(self.url, answer)
        return answer

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        until = time.monotonic() + self.timeout_seconds
        while self._idle:
            connection = self._idle.pop()
            try:
                response = _begin(connection, method, path, body, headers)
            except _DEAD:
                connection.close()
                # It was closed while it was idle. One that is new cannot have been, so this ends.
                break
            except BaseException:
                connection.close()
                raise
            return self._finish(connection, response, until)
        connection = self._connect()
        try:
            response = _begin(connection, method, path, body, headers)
        except BaseException:
            connection.close()
            raise
        return self._finish(connection, response, until)

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=self.timeout_seconds)

    def _finish(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, until: float
    ) -> Answer:
        """Read the body, in the time that is left, and keep the connection where the server does."""
        pieces, size = [], 0
        try:
            while piece := response.read1(_PIECE_BYTES):
                pieces.append(piece)
                size += len(piece)
                if size > self.most_bytes:
                    raise BadData(f"{self.url} answered more than {self.most_bytes:,} bytes; raise `most_bytes`")
                if time.monotonic() > until:
                    raise TimeoutError
        except BaseException:
            connection.close()
            raise
        response.close()
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, b"".join(pieces))

    def _secrets(self) -> dict[str, str]:
        absent = sorted(variable for variable in self.headers.values() if variable not in os.environ)
        if absent:
            raise SpecError(f"`headers` names the environment variable {absent[0]!r}, which is not set")
        return {header: os.environ[variable] for header, variable in self.headers.items()}


def _begin(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    connection.request(method, path, body, dict(headers))
    return connection.getresponse()


def _refusal(url: str, answer: Answer) -> RoadworthyError:
    """The error of the same meaning, with the sentence of the other server."""
    try:
        said = str(msgspec.json.decode(answer.body)["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        said = answer.body[:200].decode("utf-8", "replace")
    told = f"{url} answered {answer.status}: {said}"
    if answer.status in (429, 503):
        after = answer.headers.get("retry-after", "")
        return Overloaded(told, float(after) if after.isdigit() else 1.0)
    if answer.status in (401, 403):
        return Denied(f"{told}; name the environment variable with the token in `headers`")
    kinds: dict[int, type[RoadworthyError]] = {404: Missing, 408: Late, 504: Late}
    return kinds.get(answer.status, BadData if answer.status < 500 else Unreachable)(told)


def _object(body: bytes, url: str) -> Mapping[str, Any]:
    try:
        told = msgspec.json.decode(body)
    except msgspec.DecodeError as wrong:
        raise BadData(f"{url} does not speak Open Inference V2: {wrong}") from wrong
    if not isinstance(told, dict):
        raise BadData(f"{url} does not speak Open Inference V2: it answered {told!r:.60}")
    return told


def _port(told: Mapping[str, Any]) -> Port:
    if told["datatype"] not in ARRAYS:
        raise BadData(f"the remote input {told['name']!r} is {told['datatype']}; supported are {', '.join(ARRAYS)}")
    return Port(told["name"], told["datatype"], tuple(size if size >= 0 else None for size in told["shape"]))


def _blank(values: NDArray[Any]) -> NDArray[Any]:
    blank: NDArray[Any] = np.full((1, *values.shape[1:]), "" if values.dtype == object else 0, values.dtype)
    return blank


def _close(idle: list[http.client.HTTPConnection]) -> None:
    while idle:
        idle.pop().close()


def _stop(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()


class Doubling(BaseHTTPRequestHandler):
    """The server of the example: it doubles `x` and says `name` twice, in JSON."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """The metadata of the server and of its model."""
        x = {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
        name = {"name": "name", "datatype": "BYTES", "shape": [-1, 1]}
        self._answer({"name": "example", "extensions": [], "inputs": [x, name], "outputs": [x, name]})

    def do_POST(self) -> None:
        """The answer to `infer`."""
        asked = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
        self._answer({"outputs": [{**told, "data": [value * 2 for value in told["data"]]} for told in asked["inputs"]]})

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: an example does not write into anybody's terminal."""

    def _answer(self, told: Any) -> None:
        body = msgspec.json.encode(told)
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
