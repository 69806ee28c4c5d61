"""A collector that is away, hangs or refuses loses no span silently, and gets none twice but by retries."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from roadworthy.core.record import Record
from roadworthy.observe.export.otlp import Collector
from roadworthy.observe.export.trace_exporter import TraceExporter
from roadworthy.observe.export.traces import Tracer
from roadworthy.store.base import Arrival
from roadworthy.store.events import read_events
from roadworthy.store.state import State

PER_REQUEST = 3  # the request, its queue and its model


class Stand(ThreadingHTTPServer):
    """An OTLP collector on loopback. `does` is what it does next: take, or a status, "hang", "half", "drop", "bad"."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.does, self.more, self.bad = "take", {}, set()
        self.taken: Counter[str] = Counter()
        self.posts = 0
        self.leave = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self, body: bytes) -> list[tuple[str, str]]:
        """Id and request of each span, once the proto has read the body."""

        def rewrite(value):
            if isinstance(value, dict):
                ids = ("traceId", "spanId", "parentSpanId")
                return {
                    k: base64.b64encode(bytes.fromhex(v)).decode() if k in ids else rewrite(v) for k, v in value.items()
                }
            return [rewrite(each) for each in value] if isinstance(value, list) else value

        read = json_format.ParseDict(rewrite(json.loads(body)), ExportTraceServiceRequest())
        spans = [span for r in read.resource_spans for scope in r.scope_spans for span in scope.spans]
        owner = {s.trace_id: a.value.string_value for s in spans for a in s.attributes if a.key == "roadworthy.id"}
        return [(span.span_id.hex(), owner[span.trace_id]) for span in spans]


class Handler(BaseHTTPRequestHandler):
    server: Stand

    def do_POST(self) -> None:
        stand, does = self.server, self.server.does
        body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/traces"
        assert self.headers["Content-Type"] == "application/json"
        stand.posts += 1
        spans = stand.spans(body)
        if does == "hang":
            stand.leave.wait(20)
            return
        if does == "drop":  # it took them, and died before it said so
            stand.taken.update(id for id, _ in spans)
            self.connection.close()
            return
        if does == "bad" and {request for _, request in spans} & stand.bad:
            self._say(400, {}, b"a span is from the future")
            return
        if isinstance(does, int):
            self._say(does, stand.more, b"not now")
            return
        kept = spans[: len(spans) // 2] if does == "half" else spans
        stand.taken.update(id for id, _ in kept)
        if does == "warn":
            self._say(200, {}, b'{"partialSuccess":{"errorMessage":"an old name"}}')
            return
        told = {"partialSuccess": {"rejectedSpans": str(len(spans) - len(kept)), "errorMessage": "over quota"}}
        self._say(200, {}, json.dumps(told if does == "half" else {}).encode())

    def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def stand() -> Iterator[Stand]:
    with Stand() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.leave.set()
        server.shutdown()


@pytest.fixture
def state(tmp_path) -> Iterator[State]:
    with State.open(tmp_path / "state", "process") as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exporter(state, stand, clock):
    """`exporter(share=1.0, ...)`: as in a process of its own."""

    def make(share: float = 1.0, **more) -> TraceExporter:
        post = Collector(stand.url, now=clock)
        return TraceExporter(state, Tracer("toy", share=share), post, now=clock, rng=Random(1), **more)

    return make


def write(state: State, numbers: range, at: float = 1000.0, **more) -> None:
    seconds = {"queue": 0.001, "model": 0.002, "total": 0.004}
    state.records.write(
        [
            Record(f"r{k}", at + k / 100, "ab" * 32, "stable", {"x": 1}, {"y": 2}, seconds=seconds, **more)
            for k in numbers
        ]
    )


def test_what_is_in_the_log_arrives_once(exporter, stand, state):
    sends = exporter()
    write(state, range(500))
    done = sends.export()
    assert (done.requests, done.spans, done.refused, done.behind, done.because) == (500, 1500, 0, 0, "")
    assert str(done) == "500 requests in 1500 spans sent"
    assert len(stand.taken) == 1500
    assert stand.posts == 3
    assert sends.export().spans == 0
    assert set(stand.taken.values()) == {1}


def test_it_begins_where_the_log_ends_and_goes_on_where_it_stopped(exporter, stand, state):
    write(state, range(10))
    assert exporter().export().requests == 0
    write(state, range(10, 15))
    assert exporter().export().requests == 5


def test_an_outage_of_a_minute_loses_nothing(exporter, stand, state, clock):
    sends = exporter()
    write(state, range(100))
    stand.does, began = 503, clock.time
    write(state, range(100, 200))
    while clock.time < began + 60:
        done = sends.export()
        assert (done.spans, done.behind) == (0, 200)
        assert "503 not now" in done.because
        assert done.again_at > clock.time
        clock.time += 1.0
    # With twice the wait each time a minute has few posts.
    assert 5 <= stand.posts <= 8
    assert not stand.taken
    stand.does, clock.time = "take", clock.time + 60
    done = sends.export()
    assert (done.requests, done.spans, done.behind, done.because) == (200, 600, 0, "")
    assert len(stand.taken) == 600
    assert set(stand.taken.values()) == {1}
    assert sends.refused == 0


def test_the_collector_says_when_to_come_again(exporter, stand, state, clock):
    sends = exporter()
    write(state, range(3))
    stand.does, stand.more = 429, {"Retry-After": "30"}
    assert sends.export().again_at == clock.time + 30
    clock.time += 29.9
    sends.export()
    assert stand.posts == 1
    stand.does, clock.time = "take", clock.time + 0.2
    assert sends.export().requests == 3


def test_a_clock_that_jumps_back_makes_no_wait_longer(exporter, stand, state, clock):
    sends = exporter()
    write(state, range(3))
    stand.does = 503
    sends.export()
    stand.does, clock.time = "take", clock.time - 3600
    assert sends.export().requests == 3


def test_a_collector_that_hangs_is_given_up_and_asked_again(exporter, stand, state, clock):
    sends = exporter()
    sends.post = Collector(stand.url, timeout_seconds=0.2, now=clock)
    write(state, range(3))
    stand.does = "hang"
    done = sends.export()
    assert "TimeoutError" in done.because
    assert done.behind == 3
    sends.post = Collector(stand.url, now=clock)
    stand.does, clock.time = "take", clock.time + 60
    assert sends.export().requests == 3


def test_nobody_at_the_address(exporter, stand, state, clock, tmp_path):
    sends = exporter()
    sends.post = Collector("http://127.0.0.1:9", timeout_seconds=0.5, now=clock)
    write(state, range(3))
    assert "does not answer" in sends.export().because
    assert sends.behind() == 3


def test_what_arrived_without_our_knowing_comes_again_under_the_same_ids(exporter, stand, state, clock):
    sends = exporter()
    write(state, range(10))
    stand.does = "drop"
    assert sends.export().spans == 0
    stand.does, clock.time = "take", clock.time + 60
    assert sends.export().spans == 30
    assert len(stand.taken) == 30
    assert set(stand.taken.values()) == {2}


def test_a_process_that_died_in_between_sends_the_same_ids(exporter, stand, state, clock):
    first = exporter(most_spans=30)
    write(state, range(20))
    stand.does = "drop"
    first.export()
    stand.does = "take"
    assert exporter(most_spans=30).export().spans == 60
    assert len(stand.taken) == 60


def test_what_arrived_of_a_batch_is_not_sent_again(exporter, stand, state, clock):
    sends = exporter(most_spans=30)
    write(state, range(20))
    stand.does, stand.bad = "bad", {"r15"}
    seen = []
    real = sends.post

    def one_then_away(body: bytes):
        seen.append(body)
        stand.does = "take" if len(seen) == 1 else 503
        return real(body)

    sends.post = one_then_away
    done = sends.export()
    assert (done.requests, done.spans, done.behind) == (10, 30, 20)
    sends.post, stand.does, clock.time = real, "take", clock.time + 60
    assert sends.export().requests == 10
    assert set(stand.taken.values()) == {1}
    assert len(stand.taken) == 60


def test_half_refused_is_counted_and_kept_with_the_reason(exporter, stand, state):
    sends = exporter()
    write(state, range(100))
    stand.does = "half"
    done = sends.export()
    assert (done.requests, done.spans, done.refused, done.behind) == (100, 150, 150, 0)
    assert done.spans == len(stand.taken)
    (event,) = read_events(state.engine, kind="spans_refused")
    assert (event.data["spans"], event.data["of"], event.data["because"]) == (150, 300, "over quota")
    assert event.data["requests"] == [f"r{k}" for k in range(100)]
    assert {m.name: m.value for m in sends.measurements()}["spans_refused"] == 150


def test_a_warning_is_kept_once(exporter, stand, state):
    sends = exporter(most_spans=30)
    write(state, range(30))
    stand.does = "warn"
    assert sends.export().spans == 90
    assert [e.data["because"] for e in read_events(state.engine, kind="collector_warned")] == ["an old name"]
    assert read_events(state.engine, kind="spans_refused") == []


def test_one_bad_span_harms_no_other(exporter, stand, state):
    sends = exporter()
    write(state, range(100))
    stand.does, stand.bad = "bad", {"r13", "r77"}
    done = sends.export()
    assert (done.requests, done.spans, done.refused) == (100, 294, 6)
    assert len(stand.taken) == 294
    events = read_events(state.engine, kind="spans_refused")
    assert [event.data["requests"] for event in events] == [["r13"], ["r77"]]
    assert "a span is from the future" in events[0].data["because"]
    assert set(stand.taken.values()) == {1}


def test_a_collector_that_refuses_everything_is_not_asked_without_end(exporter, stand, state):
    sends = exporter()
    write(state, range(170))
    stand.does = 400
    done = sends.export()
    assert (done.refused, done.behind) == (510, 0)
    assert stand.posts <= 2 * 40 + 3
    assert sum(event.data["spans"] for event in read_events(state.engine, kind="spans_refused")) == 510


def test_a_wrong_key_waits_for_the_operator(exporter, stand, state, clock):
    sends = exporter()
    write(state, range(3))
    for _ in range(20):
        stand.does = 401
        sends.export()
        clock.time += 61
    assert sends.behind() == 3
    assert sends.refused == 0
    stand.does = "take"
    assert sends.export().requests == 3


def test_errors_beyond_the_cap_are_counted_and_told(exporter, stand, state):
    sends = exporter(share=0.0, always_a_minute=5)
    write(state, range(20), error="Late: 3 s")
    done = sends.export()
    assert (done.requests, done.left_out) == (5, 15)
    assert str(done).endswith("15 requests beyond the cap")
    (event,) = read_events(state.engine, kind="traces_left_out")
    assert event.data["requests"] == 15
    assert event.data["because"] == "more than 5 failed or slow requests in a minute"
    write(state, range(20, 22), at=5000.0, error="Late: 3 s")
    assert sends.export().requests == 2


def test_rows_that_a_batch_cuts_are_one_span(exporter, stand, state):
    rows = [
        Record(f"big.{k}", 1000.0, "ab" * 32, "stable", {}, {}, seconds={"queue": 0.1, "model": 0.2, "total": 0.3})
        for k in range(10)
    ]

    def four_at_a_time(after: int, most: int):
        return [Arrival(after + k + 1, row) for k, row in enumerate(rows[after : after + 4])]

    sends = exporter(read=four_at_a_time)
    assert sends.export().requests == 1
    assert set(stand.taken.values()) == {1}
    assert len(stand.taken) == 3


def test_a_log_that_was_exchanged_for_a_shorter_one_is_read_from_its_beginning(exporter, stand, state, tmp_path):
    sends = exporter()
    write(state, range(5))
    sends.export()
    with state.engine.begin() as connection:
        connection.execute(state.tables["bookmarks"].update().values(position=1000))
    again = exporter()
    (event,) = read_events(state.engine, kind="bookmark_reset")
    assert (event.data["position"], event.data["end"]) == (1000, 5)
    assert again.export().requests == 5


def test_it_stops_when_its_time_is_up(exporter, stand, state, clock):
    rows = [Record(f"r{k}", 1000.0, "ab" * 32, "stable", {}, {}, seconds={"total": k / 10}) for k in range(9)]

    def one_a_second(after: int, most: int):
        clock.time += 1.0
        return [Arrival(after + 1, row) for row in rows[after : after + 1]]

    assert exporter(read=one_a_second).export(most_seconds=3.0).requests == 4


def test_every_record_counts_once_in_what_became_of_it(exporter, stand, state):
    sends = exporter(share=0.3)
    write(state, range(400))
    done = sends.export()
    chosen = sum(Tracer("toy", share=0.3)([r]) is not None for r in state.records.read())
    assert done.requests == chosen
    assert len(stand.taken) == chosen * PER_REQUEST
    assert {m.name: m.value for m in sends.measurements()} == {
        "traces_lag_rows": 0,
        "spans_sent": chosen * PER_REQUEST,
        "spans_refused": 0,
        "traces_left_out": 0,
        "traces_posts_failed": 0,
    }
