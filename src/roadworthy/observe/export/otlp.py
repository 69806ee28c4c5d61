"""Spans as OTLP/HTTP carries them in JSON, and what a collector's reply means for them.

The JSON is that of opentelemetry-proto: names in camel case, ids in hexadecimal, 64-bit integers as text. Every
collector that speaks OTLP/HTTP takes it, so that no library is needed here.
"""

from __future__ import annotations

import dataclasses
import email.utils
import gzip
import http.client
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from roadworthy.core.errors import SpecError

# Retried: what the protocol lists. Held: an address or a key that is wrong, which the operator puts right.
RETRIED = (429, 502, 503, 504)
HELD = (401, 403, 404, 405, 407)
# A reply is a few numbers and a sentence.
MOST_REPLY_BYTES = 65_536


class Value(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """An attribute's value: exactly one of these is set."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: str | None = None
    double_value: float | None = None
    array_value: Mapping[str, list[Value]] | None = None


class Attribute(Struct, frozen=True):
    """A name and its value."""

    key: str
    value: Value


class Moment(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Something that happened within a span (an event of OTLP)."""

    time_unix_nano: str
    name: str
    attributes: Sequence[Attribute] = ()


class Link(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Another span that this one belongs with."""

    trace_id: str
    span_id: str


class Status(Struct, frozen=True, omit_defaults=True):
    """`code` 2 is an error."""

    message: str = ""
    code: int = 0


class Span(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A stretch of time of one request. `kind` 1 is internal, 2 a server that was asked, 3 a client that asks."""

    trace_id: str
    span_id: str
    name: str
    start_time_unix_nano: str
    end_time_unix_nano: str
    parent_span_id: str = ""
    trace_state: str = ""
    kind: int = 1
    attributes: Sequence[Attribute] = ()
    events: Sequence[Moment] = ()
    links: Sequence[Link] = ()
    status: Status = field(default_factory=Status)


def attributes_of(values: Mapping[str, Any]) -> list[Attribute]:
    """Plain values as attributes; what is neither a number, a boolean, text nor a sequence of them is written out."""
    return [Attribute(key, _value(value)) for key, value in values.items()]


def nanoseconds(seconds: float) -> str:
    """Unix seconds as OTLP writes a time; a float of today's seconds holds microseconds and no more."""
    return str(round(seconds * 1e6) * 1000)


def encode(spans: Sequence[Span], service: Mapping[str, Any], scope_version: str, schema: str) -> bytes:
    """The body of a request that hands over these spans; `service` are the attributes of who sends them."""
    scope = {"scope": {"name": "roadworthy", "version": scope_version}, "spans": spans, "schemaUrl": schema}
    resource = {"attributes": attributes_of(service)}
    return msgspec.json.encode({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]})


@dataclass(frozen=True)
class Reply:
    """What a collector answered: `accepted` for good, `refused` for good, come `again`, or `held` till it is mended.

    `rejected` counts the spans of an accepted body that it did not want, `again_seconds` is when it asks to be asked.
    """

    end: Literal["accepted", "refused", "again", "held"]
    because: str = ""
    rejected: int = 0
    again_seconds: float | None = None


Post = Callable[[bytes], Reply]


def read_reply(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Reply:
    """What an HTTP answer means (opentelemetry-proto, docs/specification.md). `headers` are in lower case."""
    told = f"{status} {body[:200].decode(errors='replace').strip()}".strip()
    if 200 <= status < 300:
        return _accepted(body, told)
    if status in RETRIED:
        return Reply("again", told, again_seconds=_retry_after(headers.get("retry-after", ""), now))
    return Reply("held" if status in HELD or status < 400 else "refused", told)


class _Partial(Struct, rename="camel"):
    rejected_spans: int | str = 0
    error_message: str = ""


class _Answer(Struct, rename="camel"):
    partial_success: _Partial = field(default_factory=_Partial)


def _accepted(body: bytes, told: str) -> Reply:
    if not body.strip():
        return Reply("accepted")
    try:
        partial = msgspec.json.decode(body, type=_Answer).partial_success
        return Reply("accepted", partial.error_message, int(partial.rejected_spans))
    except (msgspec.DecodeError, ValueError):
        # A login page answers 200 too. Nobody acknowledged anything.
        return Reply("held", f"no collector answers there, or not in JSON: {told}")


def _retry_after(given: str, now: float) -> float | None:
    """Seconds, or the date in their place (RFC 9110, 10.2.3)."""
    if given.strip().isdigit():
        return float(given)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - now)
    except (TypeError, ValueError):
        return None


def _value(value: Any) -> Value:
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, int):
        return Value(int_value=str(value)) if -(2**63) <= value < 2**63 else Value(string_value=str(value))
    if isinstance(value, float):
        # JSON has no NaN.
        return Value(double_value=value) if math.isfinite(value) else Value(string_value=str(value))
    if isinstance(value, str):
        return Value(string_value=value)
    if isinstance(value, (tuple, list)):
        return Value(array_value={"values": [_value(each) for each in value]})
    return Value(string_value=str(value))


class _StayHere(urllib.request.HTTPRedirectHandler):
    # A redirect would turn the POST into a GET, whose 200 acknowledges nothing.
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class Collector:
    """Posts a body to `url` (`/v1/traces` is added where there is no path) and says what became of it. It never raises.

    `headers` carry a key where the collector wants one.
    """

    url: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    timeout_seconds: float = 10.0
    now: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise SpecError(f"`traces` is the address of an OTLP collector, http:// or https://; got {self.url!r}")

    @property
    def address(self) -> str:
        """Where the bodies go."""
        parts = urllib.parse.urlsplit(self.url)
        return self.url if parts.path.strip("/") else parts._replace(path="/v1/traces").geturl()

    def __call__(self, body: bytes) -> Reply:
        """Send it once."""
        told = {"Content-Type": "application/json", "Content-Encoding": "gzip", **self.headers}
        request = urllib.request.Request(self.address, gzip.compress(body, 1), told, method="POST")
        try:
            return self._ask(request)
        except (OSError, http.client.HTTPException) as gone:
            return Reply("again", f"{self.address} does not answer: {type(gone).__name__}: {gone}")

    def _ask(self, request: urllib.request.Request) -> Reply:
        try:
            answer = urllib.request.build_opener(_StayHere).open(request, timeout=self.timeout_seconds)
        except urllib.error.HTTPError as wrong:
            answer = wrong
        with answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return read_reply(answer.status, headers, answer.read(MOST_REPLY_BYTES), self.now())
