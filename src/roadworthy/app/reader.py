"""Turns the bytes of one client into requests, within the limits; who answers them, and how, it does not know.

Most clients send the same head again and again: a head that was read before is looked up as bytes, and its request is
taken without the parser.
"""

from __future__ import annotations

from typing import NoReturn, Protocol

import httptools

from roadworthy.app.exchange import Call, Refused
from roadworthy.app.head import CALLER, KNOWN_BYTES, Head, not_http, read_head, remember, too_long, without_upgrade
from roadworthy.app.limits import Shared
from roadworthy.core.errors import Overloaded, RoadworthyError

# What is read now: nothing yet, a head, or a body.
IDLE, HEAD, BODY = range(3)

# So much is parsed between two looks at what the client is owed: of small requests, and within a body.
SLICE_BYTES, BODY_SLICE_BYTES = 4 * 1024, 64 * 1024


class Owner(Protocol):
    """Whom a Reader tells. `ending`: nothing more is to be read."""

    ending: bool

    @property
    def owed(self) -> int:
        """How many answers the client waits for."""

    def accept(self, head: Head, body: bytes, error: RoadworthyError | None) -> None:
        """A request is here in whole; with `error` it is only to be told that."""

    def proceed(self, head: Head) -> None:
        """The client waits with its body for a word."""

    def refuse(self, error: BaseException) -> None:
        """What came cannot be read on: tell it and end."""


class Reader:
    """The `on_...` methods are called by the parser. `since` is the tick at which the present state began."""

    def __init__(self, owner: Owner, shared: Shared) -> None:
        self.state = IDLE
        self.since = shared.ticks
        self.rest = b""  # arrived, and not looked at while the client is owed too much
        self._owner, self._shared, self._limits = owner, shared, shared.limits
        self._parser = httptools.HttpRequestParser(self)
        self._candidate = b""  # the head at the beginning of what is parsed, as it came
        self._raw = 0  # bytes of the unfinished request, as they came
        self._body_bytes = 0
        self._completed = False
        self._refusal: RoadworthyError | None = None

    def close(self) -> None:
        """Nothing more comes."""
        self._shared.held -= self._body_bytes
        self._body_bytes = 0
        # The parser holds our methods and we hold it, and so it is with the connection: undo these cycles, or memory
        # waits for the collector, which seldom comes.
        del self._parser, self._owner

    def take(self, data: bytes) -> None:
        """Read on."""
        at, size, owner = 0, len(data), self._owner
        while not owner.ending:
            if self.state == IDLE:
                at = self._take_known(data, at)
            if at >= size:
                break
            if owner.owed >= self._limits.pipelined:
                self.rest = data[at:]
                break
            end = at + (BODY_SLICE_BYTES if self.state == BODY else SLICE_BYTES)
            self._parse(data[at:end])
            at = end

    def late(self) -> Refused | None:
        """What to say to a request that comes too slowly."""
        limits, seconds = self._limits, (self._shared.ticks - self.since) * self._limits.tick_seconds
        if self.state == HEAD:
            if seconds > limits.head_seconds:
                return Refused(408, f"the head of the request took more than {limits.head_seconds:g} s")
        elif seconds > limits.body_seconds:
            return Refused(408, f"the body of the request took more than {limits.body_seconds:g} s")
        elif seconds > limits.grace_seconds and self._body_bytes < limits.body_rate * seconds:
            return Refused(408, f"the body of the request came with less than {limits.body_rate:g} bytes a second")
        return None

    def on_message_begin(self) -> None:
        self.state = HEAD
        self.since = self._shared.ticks
        self._head_bytes = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > self._limits.line_bytes:
            self._stop(Refused(414, f"the path may have at most {self._limits.line_bytes} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self._limits.head_bytes:
            self._stop(self._long_head())
        if self.state == BODY:  # a trailer: counted, not used
            return
        headers, name = self._headers, name.lower()
        headers[name] = headers[name] + b", " + value if name in headers else value

    def on_headers_complete(self) -> None:
        self.state = BODY
        self.since = self._shared.ticks
        self._offered = b"upgrade" in self._headers and self._parser.should_upgrade()
        if self._offered:
            return  # `_feed` reads it once more, without that
        routes, candidate, self._candidate = self._shared.routes, self._candidate, b""
        try:
            head = self._head = read_head(self._parser, self._url, self._headers, routes, self._limits)
        except Refused as error:
            self._stop(error)
        if candidate:
            remember(routes.known, candidate, head, self._url)
        self._error = self._refused(head) or head.error
        if head.expects:
            if self._error is not None:
                self._stop(self._error)
            self._owner.proceed(head)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._shared.held += len(body)
        if self._body_bytes > self._limits.body_bytes:
            self._stop(too_long(self._limits))
        if self._shared.held > self._limits.held_bytes:
            full = f"the bodies of all requests may have {self._limits.held_bytes} bytes together; ask again"
            self._stop(Overloaded(full))
        if self._error is None:
            self._body.append(body)

    def on_message_complete(self) -> None:
        body = self._body
        self.state = IDLE
        self._completed = True
        self._shared.held -= self._body_bytes
        self._body_bytes = 0
        if not self._offered:
            self._owner.accept(self._head, body[0] if len(body) == 1 else b"".join(body), self._error)

    def _take_known(self, data: bytes, at: int) -> int:
        """Take the requests from `at` on whose head was seen before; returns where others begin."""
        shared, limits, owner, known = self._shared, self._limits, self._owner, self._shared.routes.known
        size, self._candidate = len(data), b""
        while at < size and owner.owed < limits.pipelined:
            end = data.find(b"\r\n\r\n", at, at + KNOWN_BYTES) + 4
            if end == 3:
                break
            raw = data[at:end]
            head = known.get(raw)
            if head is None:
                self._candidate = raw
                break
            stop = end + head.length
            if stop > size or shared.held + head.length > limits.held_bytes:
                break
            owner.accept(head, data[end:stop], self._refused(head))
            at = stop
        return at

    def _parse(self, data: bytes) -> None:
        self._completed = False
        self._feed(data)
        self._raw = 0 if self._completed or self.state == IDLE else self._raw + len(data)
        if self._raw > self._limits.head_bytes:
            self._weigh()

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = b"" if self._owner.ending else self._again() + data[upgrade.args[0] :]
            except httptools.HttpParserError as wrong:
                if self._refusal is not None:
                    self._refuse(self._refusal)
                elif isinstance(wrong, httptools.HttpParserCallbackError) and wrong.__context__ is not None:
                    self._refuse(wrong.__context__)
                elif not self._owner.ending:
                    self._refuse(not_http(wrong, data))
                break
            else:
                break

    def _again(self) -> bytes:
        """The head that was just read, to be read once more by a new parser: this time without its upgrade."""
        old, self._parser = self._parser, httptools.HttpRequestParser(self)
        return without_upgrade(old.get_method(), self._url, old.get_http_version(), self._headers)

    def _refused(self, head: Head) -> RoadworthyError | None:
        """Why this caller may not ask this, if so."""
        admit = self._shared.admit
        if admit is None:
            return None
        try:
            caller = admit(Call(head.method, head.path, head.query, head.headers, b""))
        except RoadworthyError as error:
            return error
        if caller is not None:
            head.headers[CALLER] = caller.encode()
        return None

    def _stop(self, error: RoadworthyError) -> NoReturn:
        self._refusal = error
        raise error

    def _refuse(self, error: BaseException) -> None:
        self.state = IDLE
        self._owner.refuse(error)

    def _long_head(self) -> Refused:
        return Refused(431, f"the headers may have at most {self._limits.head_bytes} bytes")

    def _weigh(self) -> None:
        # The parser holds an unfinished header back, and chunks may be mostly frame: count what really came.
        limits = self._limits
        if self.state == HEAD and self._raw > limits.head_bytes + limits.line_bytes:
            self._refuse(self._long_head())
        elif self._raw > 8 * limits.body_bytes + limits.head_bytes + limits.line_bytes:
            self._refuse(too_long(limits))
