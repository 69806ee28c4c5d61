"""The spans of a request, made from its records after the fact: the request never waits for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from roadworthy.core.record import Record
from roadworthy.core.spec import Spec
from roadworthy.observe.export.otlp import Link, Moment, Span, Status, attributes_of, nanoseconds
from roadworthy.observe.export.semantic_names import Kind, kind_of, named

Why = Literal["sampled", "asked", "error", "slow"]

# The order in which a request goes through its stages. Records hold how long each took, and not when it began.
ORDER = ("guard_in", "preprocessing", "queue", "batch_wait", "model", "guard_out")
# Not stretches of the request beside the others: all of it, and the time until a stream's first piece.
WHOLE, FIRST = "total", "first"
MOST_TEXT = 200
_ROW = re.compile(r"^(.+)\.(\d+)$", re.DOTALL)
_PARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")
# Randomness and thresholds of OpenTelemetry's probability sampling have 56 bits.
_BITS = 1 << 56


@dataclass(frozen=True)
class Trace:
    """The spans of one request on one arm, and why it was chosen."""

    request: str
    at: float
    why: Why
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Tracer:
    """Chooses requests and turns their rows into spans. Every process chooses the same ones: by a hash of the id.

    `share` of them are chosen, and always those that failed, took `slow_seconds` (0: never mind) or whose caller
    traces them already (a tag `traceparent`, as W3C has it). What people wrote leaves with `content` only; so do the
    words of an error, which may quote it.
    """

    application: str
    generates: bool = False
    share: float = 0.01
    slow_seconds: float = 0.0
    content: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"`trace_share` must be between 0 and 1, got {self.share!r}")

    @classmethod
    def of(cls, spec: Spec) -> Tracer:
        """What a project file says: slow is a request that breaks the strictest of its SLOs."""
        within = [slo.within_ms / 1000 for slo in spec.monitor.slos if slo.within_ms]
        asked = spec.application
        return cls(asked.name, asked.task == "generation", spec.monitor.trace_share, min(within, default=0.0))

    def __call__(self, rows: Sequence[Record]) -> Trace | None:
        """The trace of one request's rows (see `requests_of`), or None where it is not chosen."""
        first, request = rows[0], request_of(rows[0].id)
        trace, parent, asked = _context(first, request)
        why = self._why(first, trace, asked)
        if why is None:
            return None
        state = f"ot=th:{_threshold(self.share)}" if why == "sampled" else ""
        made = _Spans(self, rows, request, trace, parent, state)
        return Trace(request, first.at, why, (made.request_span(), *made.children()))

    def _why(self, record: Record, trace: str, asked: bool) -> Why | None:
        if asked:
            return "asked"
        if int(trace[-14:], 16) >= _rejected(self.share):
            return "sampled"
        if record.error is not None:
            return "error"
        slow = self.slow_seconds and record.seconds.get(WHOLE, 0.0) >= self.slow_seconds
        return "slow" if slow else None


def requests_of(records: Iterable[Record]) -> dict[tuple[Any, ...], list[Record]]:
    """The rows of each request on each arm. A request of several rows leaves `id.0`, `id.1`, ... with equal times.

    Equal times are what tells them from single requests whose callers number them so.
    """
    found: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        found.setdefault(_key(record), []).append(record)
    return found


def request_of(id: str) -> str:
    """The id of the request that a row belongs to: `r7` for `r7.2`."""
    match = _ROW.match(id)
    return match[1] if match else id


def _key(record: Record) -> tuple[Any, ...]:
    times = tuple(sorted(record.seconds.items()))
    # Without times there is nothing to tell rows from requests by: each one stands for itself.
    id = request_of(record.id) if times else record.id
    return id, record.at, record.arm, record.release, record.error is None, times


def _context(record: Record, request: str) -> tuple[str, str, bool]:
    """The trace's id, the caller's span and whether the caller traces this request."""
    given = _PARENT.match(record.tags.get("traceparent", ""))
    shadow = record.arm == "shadow"
    if given and not shadow:
        return given[1], given[2], bool(int(given[3], 16) & 1)
    return _digest(16, "shadow" if shadow else "trace", given[1] if given else request), "", False


def _digest(size: int, *parts: str) -> str:
    return blake2b("\x00".join(parts).encode(errors="surrogatepass"), digest_size=size).hexdigest()


def _rejected(share: float) -> int:
    return _BITS - round(share * _BITS)


def _threshold(share: float) -> str:
    """OpenTelemetry's `th`: backends multiply a span by 1 / (1 - th / 2^56) to count what it stands for."""
    return f"{_rejected(share):014x}".rstrip("0") or "0"


@dataclass(frozen=True)
class _Spans:
    """The spans of the rows of one request. Ids follow from the record, so that what is sent again is the same."""

    tracer: Tracer
    rows: Sequence[Record]
    request: str
    trace: str
    parent: str
    state: str

    @property
    def _first(self) -> Record:
        return self.rows[0]

    def request_span(self) -> Span:
        record, generates = self._first, self.tracer.generates
        is_model = generates and "model" not in record.seconds
        own = self._facts() | (self._generation() if is_model else {})
        kind: Kind = "LLM" if is_model else "CHAIN"
        name = f"{'text_completion' if generates else 'predict'} {self.tracer.application}"
        end = record.at + max(0.0, record.seconds.get(WHOLE, sum(self._stages().values())))
        asked = {f"tag.{tag}": value for tag, value in record.tags.items() if tag != "traceparent"}
        return Span(
            self.trace,
            self._id("request"),
            name,
            nanoseconds(record.at),
            nanoseconds(end),
            self.parent,
            self.state,
            kind=2,
            attributes=attributes_of(named(own | asked, kind, generates, self.tracer.content)),
            events=self._moments(),
            links=self._links(),
            status=self._status(),
        )

    def children(self) -> list[Span]:
        """One span a stage, end to end in the order of their work, and one a step that took no time of its own."""
        record, began, spans = self._first, self._first.at, []
        reasons = {step.at: step.because for step in record.path}
        for stage, seconds in self._stages().items():
            own: dict[str, Any] = {"because": reasons.pop(stage, None), "began": "reckoned from the stages before it"}
            spans.append(self._child(stage, began, seconds, own))
            began += max(0.0, seconds)
        for number, step in enumerate(record.path):
            if step.at in reasons:
                spans.append(self._child(step.at, record.at, 0.0, {"because": step.because}, str(number)))
        return spans

    def _child(self, stage: str, began: float, seconds: float, own: Mapping[str, Any], part: str = "") -> Span:
        kind = kind_of(stage, self.tracer.generates)
        told = {**own, "because": _short(own.get("because")), "stage": stage}
        if stage == "model" and self.tracer.generates:
            told |= self._generation()
        return Span(
            self.trace,
            self._id(stage, part),
            stage,
            nanoseconds(began),
            nanoseconds(began + max(0.0, seconds)),
            self._id("request"),
            self.state,
            attributes=attributes_of(named(told, kind, self.tracer.generates, self.tracer.content)),
        )

    def _stages(self) -> dict[str, float]:
        seconds = self._first.seconds
        rest = sorted(name for name in seconds if name not in (*ORDER, WHOLE, FIRST))
        return {name: seconds[name] for name in (*ORDER, *rest) if name in seconds}

    def _facts(self) -> dict[str, Any]:
        record = self._first
        return {
            "id": self.request,
            "application": self.tracer.application,
            "release": record.release,
            "arm": record.arm,
            "rows": len(self.rows),
            "confidence": record.confidence,
            "error_type": None if record.error is None else record.error.partition(":")[0],
            "conversation": record.tags.get("conversation"),
            "user": record.tags.get("user"),
        }

    def _generation(self) -> dict[str, Any]:
        """What is said of a model's text: once a request, or its tokens would be counted twice."""
        record = self._first
        known, finish = record.outputs, record.outputs.get("finish_reason")
        return {
            "operation": "text_completion",
            "provider": "roadworthy",
            "model": self.tracer.application,
            "release_model": f"{self.tracer.application}@{record.release[:12]}",
            "stream": True if FIRST in record.seconds else None,
            "first_seconds": record.seconds.get(FIRST),
            "finish_reasons": [str(finish)] if finish is not None else None,
            "input_tokens": _count(known.get("input_tokens")),
            "output_tokens": _count(known.get("output_tokens")),
            "tokens": record.tokens,
            "usd": record.usd,
            "inputs": _written(record.inputs) if self.tracer.content else None,
            "outputs": _written(record.outputs) if self.tracer.content else None,
        }

    def _moments(self) -> tuple[Moment, ...]:
        seconds = self._first.seconds.get(FIRST)
        return () if seconds is None else (Moment(nanoseconds(self._first.at + seconds), "first piece"),)

    def _links(self) -> tuple[Link, ...]:
        """A shadow answers nobody: it has a trace of its own, linked with that of the request it copies."""
        if self._first.arm != "shadow":
            return ()
        given = _PARENT.match(self._first.tags.get("traceparent", ""))
        answered = given[1] if given else _digest(16, "trace", self.request)
        return (Link(answered, _digest(8, answered, self.request, "answer", "request", "")),)

    def _status(self) -> Status:
        error = self._first.error
        if error is None:
            return Status()
        return Status(error if self.tracer.content else error.partition(":")[0], 2)

    def _id(self, part: str, number: str = "") -> str:
        end = "answer" if self._first.error is None else "error"
        return _digest(8, self.trace, self.request, end, part, number)


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and value == value else None


def _written(values: Mapping[str, Any]) -> str:
    return msgspec.json.encode(values, enc_hook=str).decode()
