"""Hands traces to an OTLP collector. The record log is what it falls back on: its bookmark moves on when they arrived.

What the collector is away for, hangs over or puts off is read again from the log later. What it refuses for good, and
what is left out because too many failed in one minute, is counted and kept as an event with the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from msgspec import Struct

from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.observe.export.otlp import Post, Reply, Span, encode
from roadworthy.observe.export.semantic_names import schema_of
from roadworthy.observe.export.traces import Trace, Tracer, requests_of
from roadworthy.store.arrivals import Arrivals
from roadworthy.store.base import Arrival
from roadworthy.store.bookmarks import move_bookmark, read_bookmark
from roadworthy.store.events import write_event
from roadworthy.store.state import State

# (after, most): the first `most` records that came into the log after that position.
Read = Callable[[int, int], Sequence[Arrival]]

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 300.0
# A post that is refused is halved to find the span at fault, at most this often for one batch of records.
MOST_HALVINGS = 40
# The sampled ones stay; beyond this many in a minute, further errors and slow requests are counted only.
ALWAYS_A_MINUTE = 600
_MINUTES_KEPT = 1000


class Exported(Struct, frozen=True, omit_defaults=True):
    """What one call sent: `behind` records are left in the log, `because` says why where the collector is the reason.

    `left_out` requests failed or were slow and were beyond the cap; `refused` spans are those the collector never took.
    """

    requests: int = 0
    spans: int = 0
    refused: int = 0
    left_out: int = 0
    behind: int = 0
    because: str = ""
    again_at: float = 0.0

    def __str__(self) -> str:
        lost = f", {self.refused} refused for good" if self.refused else ""
        lost += f", {self.left_out} requests beyond the cap" if self.left_out else ""
        waits = f"; {self.behind} records wait: {self.because}" if self.because else ""
        return f"{self.requests} requests in {self.spans} spans sent{lost}{waits}"


@dataclass
class _Batch:
    """Records that were read together, and what of them has not been acknowledged yet."""

    position: int
    left: list[Trace]
    left_out: int
    since: float
    until: float
    keys: frozenset[Any]
    halvings: int = 0


@dataclass
class TraceExporter:
    """Reads the log from its bookmark on and posts what `tracer` chooses. One at a time may run for a deployment.

    It begins at the end of the log where it never ran before. A batch that was not acknowledged is posted again byte
    for byte; after the death of the process the same records give the same span ids, so that a collector can tell.
    """

    state: State
    tracer: Tracer
    post: Post
    version: str = ""
    now: Callable[[], float] = time.time
    rng: Random = field(default_factory=Random)
    read: Read | None = None
    most_rows: int = 2000
    most_spans: int = 512
    always_a_minute: int = ALWAYS_A_MINUTE
    sent: int = 0
    refused: int = 0
    left_out: int = 0
    failures: int = 0

    def __post_init__(self) -> None:
        self._read = self.read or Arrivals(self.state.records).records
        self._name = f"traces/{self.tracer.application}"
        self._tries, self._put_off_at, self._again_at = 0, 0.0, 0.0
        self._because = self._warned = ""
        self._batch: _Batch | None = None
        self._before: frozenset[Any] = frozenset()
        self._minutes: dict[int, int] = {}
        self._begin()

    def export(self, most_seconds: float = 20.0) -> Exported:
        """Send what there is, until the log is read, the collector puts us off or the time is up. Blocks meanwhile."""
        began, done = self.now(), Exported()
        while not self._waits() and self.now() - began <= most_seconds:
            self._batch = self._batch or self._next()
            if self._batch is None:
                break
            requests, spans, refused = self._deliver(self._batch)
            done = _and(done, requests, spans, refused)
            if self._batch.left:
                break
            done = _and(done, left_out=self._finish(self._batch))
            self._batch = None
        waits = self._waits()
        return _ending(done, self.behind(), self._because if waits else "", self._again_at if waits else 0.0)

    def _waits(self) -> bool:
        # A clock that jumped back to before the wait began would make it an hour longer.
        return self._put_off_at <= self.now() < self._again_at

    def behind(self) -> int:
        """How many records of the log are not dealt with yet."""
        return self.state.records.count(after=self._position())

    def measurements(self) -> tuple[Measurement, ...]:
        """For the gauges and counters of /metrics; the counts are this process's."""
        counts = {
            "traces_lag_rows": self.behind(),
            "spans_sent": self.sent,
            "spans_refused": self.refused,
            "traces_left_out": self.left_out,
            "traces_posts_failed": self.failures,
        }
        return tuple(Measurement(name, float(n), n or 1, n, n) for name, n in counts.items())

    def _begin(self) -> None:
        mark, end = read_bookmark(self.state.engine, self._name), self.state.records.position()
        if mark is None:
            self._move_on(end)
        elif mark.position > end:
            # The log is another one, say from a backup: waiting until it is as long would lose what comes meanwhile.
            told = {"position": mark.position, "end": end, "because": "the log is shorter than what was read of it"}
            write_event(self.state.engine, self.now(), "bookmark_reset", self._name, told)
            self._move_on(0)

    def _next(self) -> _Batch | None:
        arrived = self._read(self._position(), self.most_rows)
        if not arrived:
            return None
        records = [arrival.row for arrival in arrived if isinstance(arrival.row, Record)]
        found = requests_of(records)
        # Where a request's rows are cut by the end of a batch, its span went out with the first of them.
        chosen = [self.tracer(rows) for key, rows in found.items() if key not in self._before]
        traces = [trace for trace in chosen if trace is not None]
        kept = [trace for trace in traces if self._within_cap(trace)]
        since, until = min(r.at for r in records), max(r.at for r in records)
        return _Batch(arrived[-1].position, kept, len(traces) - len(kept), since, until, frozenset(found))

    def _within_cap(self, trace: Trace) -> bool:
        if trace.why == "sampled":
            return True
        minute = int(trace.at // 60)
        self._minutes[minute] = self._minutes.get(minute, 0) + 1
        while len(self._minutes) > _MINUTES_KEPT:
            del self._minutes[next(iter(self._minutes))]
        return self._minutes[minute] <= self.always_a_minute

    def _deliver(self, batch: _Batch) -> tuple[int, int, int]:
        """Post what is left of a batch. Requests and spans that arrived, and spans that were refused for good."""
        requests = spans = refused = 0
        for part in list(_parts(batch.left, self.most_spans)):
            for traces, reply in self._offer(part, batch):
                if reply.end in ("again", "held"):
                    self._wait(reply)
                    return requests, spans, refused
                self._tries, self._because = 0, ""
                lost = _count(traces) if reply.end == "refused" else min(reply.rejected, _count(traces))
                if lost:
                    self._keep_refused(traces, lost, reply.because)
                elif reply.because:
                    self._keep_warning(reply.because)
                self.sent += _count(traces) - lost
                requests, refused = requests + len(traces), refused + lost
                spans += _count(traces) - lost
                del batch.left[: len(traces)]
        return requests, spans, refused

    def _offer(self, traces: Sequence[Trace], batch: _Batch) -> Iterator[tuple[Sequence[Trace], Reply]]:
        """Post them; where they are refused together, each half by itself, so that one bad span harms no other."""
        spans = [span for trace in traces for span in trace.spans]
        reply = self.post(self._body(spans))
        if reply.end != "refused" or len(traces) == 1 or batch.halvings >= MOST_HALVINGS:
            yield traces, reply
            return
        batch.halvings += 1
        middle = len(traces) // 2
        for half in (traces[:middle], traces[middle:]):
            yield from self._offer(half, batch)

    def _body(self, spans: Sequence[Span]) -> bytes:
        service = {
            "service.name": self.tracer.application,
            "telemetry.sdk.name": "roadworthy",
            "telemetry.sdk.language": "python",
            "openinference.project.name": self.tracer.application,
        }
        return encode(spans, service, self.version, schema_of(self.tracer.generates))

    def _wait(self, reply: Reply) -> None:
        """Come again when the collector says, else after twice as long as last time, a little less by chance."""
        self._tries, self.failures, self._because = self._tries + 1, self.failures + 1, reply.because
        longest = LONGEST_WAIT_SECONDS if reply.end == "again" else LONGEST_WAIT_SECONDS / 5
        grown = min(longest, FIRST_WAIT_SECONDS * 2 ** min(self._tries - 1, 20))
        asked = reply.again_seconds
        self._put_off_at = self.now()
        self._again_at = self._put_off_at + (
            grown * self.rng.uniform(0.5, 1.0) if asked is None else min(asked, 3600.0)
        )

    def _keep_refused(self, traces: Sequence[Trace], lost: int, because: str) -> None:
        self.refused += lost
        told = {"spans": lost, "of": _count(traces), "because": because, "requests": [t.request for t in traces]}
        write_event(self.state.engine, self.now(), "spans_refused", self._name, told)

    def _keep_warning(self, words: str) -> None:
        """A collector that took everything may still warn; its words are kept once for as long as they are the same."""
        if words != self._warned:
            write_event(self.state.engine, self.now(), "collector_warned", self._name, {"because": words})
        self._warned = words

    def _finish(self, batch: _Batch) -> int:
        """All of the batch is dealt with: keep what was left out, and move the bookmark."""
        if batch.left_out:
            self.left_out += batch.left_out
            told = {
                "requests": batch.left_out,
                "since": batch.since,
                "until": batch.until,
                "because": f"more than {self.always_a_minute} failed or slow requests in a minute",
            }
            write_event(self.state.engine, self.now(), "traces_left_out", self._name, told)
        self._move_on(batch.position)
        self._before = batch.keys
        return batch.left_out

    def _position(self) -> int:
        mark = read_bookmark(self.state.engine, self._name)
        return mark.position if mark else 0

    def _move_on(self, position: int) -> None:
        with self.state.engine.begin() as connection:
            move_bookmark(connection, self._name, position, self.now())


def _parts(traces: Sequence[Trace], most_spans: int) -> Iterator[list[Trace]]:
    """Whole traces together, at most so many spans at a time (one trace alone may have more)."""
    part: list[Trace] = []
    held = 0
    for trace in traces:
        if part and held + len(trace.spans) > most_spans:
            yield part
            part, held = [], 0
        part.append(trace)
        held += len(trace.spans)
    if part:
        yield part


def _count(traces: Sequence[Trace]) -> int:
    return sum(len(trace.spans) for trace in traces)


def _and(done: Exported, requests: int = 0, spans: int = 0, refused: int = 0, left_out: int = 0) -> Exported:
    return Exported(done.requests + requests, done.spans + spans, done.refused + refused, done.left_out + left_out)


def _ending(done: Exported, behind: int, because: str, again_at: float) -> Exported:
    return Exported(done.requests, done.spans, done.refused, done.left_out, behind, because, again_at)
