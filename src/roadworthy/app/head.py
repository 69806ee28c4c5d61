"""The head of one request: how it is framed, whose answer it wants, or why it is refused (RFC 9112, RFC 9110).

httptools checks the syntax strictly (line ends, names, sizes, repeated lengths). Here is what it leaves to us.
"""

from __future__ import annotations

from http import HTTPMethod
from urllib.parse import unquote_to_bytes

import httptools

from roadworthy.app.exchange import Answer, Refused
from roadworthy.app.limits import Limits
from roadworthy.app.routes import Routes
from roadworthy.core.errors import RoadworthyError

# Where the name of an admitted caller stands among the headers of a Call. No client can send a name with brackets.
CALLER = b"(caller)"

# Longer heads are read each time; when there are more known ones than this, all are forgotten. A few MiB at most.
KNOWN_BYTES, KNOWN_HEADS = 2048, 1024


class Unread(Refused):
    """A body in a form that we do not take; `headers` go with the answer."""

    headers = ((b"accept-encoding", b"identity"),)


class Head:
    """What a head says. With `error` the body is let go and the error answered; `old` is HTTP/1.0."""

    __slots__ = (
        *("method", "path", "query", "headers", "keep", "old"),
        *("head_only", "length", "expects", "answer", "error"),
    )

    def __init__(
        self,
        method: bytes = b"GET",
        path: bytes = b"",
        query: bytes = b"",
        headers: dict[bytes, bytes] | None = None,
        keep: bool = True,
        old: bool = False,
    ) -> None:
        self.method, self.path, self.query = method, path, query
        self.headers = headers if headers is not None else {}
        self.keep, self.old = keep, old
        self.head_only = method == b"HEAD"
        self.length = 0
        self.expects = False
        self.answer: Answer | None = None
        self.error: RoadworthyError | None = None


def read_head(
    parser: httptools.HttpRequestParser, url: bytes, headers: dict[bytes, bytes], routes: Routes, limits: Limits
) -> Head:
    """The head that the parser has just come to the end of. Raises Refused where the connection cannot go on."""
    keep, old = parser.should_keep_alive(), False
    if not keep or b"connection" in headers or b"host" not in headers:
        old = _is_old(parser.get_http_version(), headers)
    method = parser.get_method()
    path, _, query = url.partition(b"?")
    head = Head(method, _plain(path), query, headers, keep, old)
    if b"," in headers.get(b"host", b""):
        raise Refused(400, "the request names more than one `host`; allowed: one")
    if method == b"CONNECT":
        raise Refused(501, "this server is no proxy: CONNECT is not done here")
    _frame(head, limits)
    try:
        head.answer = routes.find(method, head.path)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            given = headers[b"content-encoding"].decode("latin-1")
            raise Unread(415, f"`content-encoding` {given!r} is not understood here; allowed: identity")
    except RoadworthyError as error:
        head.error = error
    return head


def remember(known: dict[bytes, Head], raw: bytes, head: Head, url: bytes) -> None:
    """Keep what `raw` means, if it is a whole head that means the same each time."""
    plain = head.keep and not head.old and head.error is None and not head.expects
    # The bytes must begin with this very request: a parser skips empty lines in front of one.
    if plain and b"transfer-encoding" not in head.headers and raw.startswith(b"%b %b " % (head.method, url)):
        if len(known) >= KNOWN_HEADS:
            known.clear()
        known[raw] = head


def without_upgrade(method: bytes, url: bytes, version: str, headers: dict[bytes, bytes]) -> bytes:
    """The head again without its offer to change the protocol, which a server may ignore (RFC 9110, 7.8)."""
    start = b"%b %b HTTP/%b\r\n" % (method, url, version.encode())
    kept = {name: value for name, value in headers.items() if name not in (b"upgrade", b"connection")}
    asked = [token.strip().lower() for token in headers.get(b"connection", b"").split(b",")]
    if left := [token for token in asked if token in (b"close", b"keep-alive")]:
        kept[b"connection"] = b", ".join(left)
    return start + b"".join(b"%b: %b\r\n" % pair for pair in kept.items()) + b"\r\n"


def _is_old(version: str, headers: dict[bytes, bytes]) -> bool:
    if version not in ("1.0", "1.1"):
        raise Refused(505, f"HTTP/{version} is not spoken here; allowed: HTTP/1.1")
    if version == "1.1" and b"host" not in headers:
        raise Refused(400, "an HTTP/1.1 request needs a `host` header")
    return version == "1.0"


def _frame(head: Head, limits: Limits) -> None:
    """Where the body ends. What two servers could read in two ways is refused, or a request hides in another's body."""
    headers = head.headers
    if b"content-length" in headers:
        head.length = int(headers[b"content-length"])
        if head.length > limits.body_bytes:
            raise too_long(limits)
    coding = headers.get(b"transfer-encoding")
    if coding is not None:
        if head.old:
            raise Refused(400, "HTTP/1.0 has no `transfer-encoding`; send a `content-length`")
        if coding.strip().lower() != b"chunked":
            raise Refused(501, f"`transfer-encoding` may be 'chunked', got {coding.decode('latin-1')!r}")
    expected = headers.get(b"expect")
    if expected is not None and not head.old:
        if expected.lower() != b"100-continue":
            raise Refused(417, f"`expect` may be '100-continue', got {expected.decode('latin-1')!r}")
        head.expects = True


def too_long(limits: Limits) -> Refused:
    """The refusal of a body, announced or sent."""
    return Refused(413, f"the body may have at most {limits.body_bytes} bytes")


def not_http(wrong: Exception, data: bytes) -> Refused:
    """What to say to bytes that are no request: what the parser found, or what the client seems to speak."""
    if data.startswith(b"\x16\x03"):
        return Refused(400, "this is TLS, and the server speaks plain HTTP here: use http:// in the address")
    if "PRI/Upgrade" in str(wrong) or "HTTP version" in str(wrong):
        return Refused(505, "this version of HTTP is not spoken here; allowed: HTTP/1.1")
    method = data.partition(b" ")[0].decode("latin-1")
    strange = isinstance(wrong, httptools.HttpParserInvalidMethodError) and method.isalpha() and method.isupper()
    # Where the first method is known, the fault is in a request further behind.
    if strange and method not in HTTPMethod.__members__:
        return Refused(501, f"the method {method[:20]!r} is not known here")
    return Refused(400, f"this is not HTTP/1.1: {wrong}")


def _plain(path: bytes) -> bytes:
    """The path alone, unescaped: clients that speak to a proxy send `http://host/path`."""
    if not path.startswith(b"/") and b"://" in path:
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    return unquote_to_bytes(path) if b"%" in path else path
