"""What tracing costs a core after the fact, and whether an outage of a minute loses or doubles a span.

`python benchmarks/traces.py --rows 20000`; the last line is JSON. It ends with 1 where a span was lost or doubled.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import msgspec

from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.observe.export.otlp import Reply
from roadworthy.observe.export.trace_exporter import TraceExporter
from roadworthy.observe.export.traces import Tracer
from roadworthy.store.state import State

SECONDS = {"queue": 0.001, "model": 0.002, "total": 0.004}


class Away:
    """A collector that is away from `since` to `until`, and refuses nothing; the clock is ours."""

    def __init__(self, since: float, until: float) -> None:
        self.since, self.until, self.time = since, until, 0.0
        self.taken: Counter[str] = Counter()
        self.posts = 0

    def now(self) -> float:
        return self.time

    def __call__(self, body: bytes) -> Reply:
        self.posts += 1
        if self.since <= self.time < self.until:
            return Reply("again", "503 not now")
        read = msgspec.json.decode(body)
        spans = [s for r in read["resourceSpans"] for scope in r["scopeSpans"] for s in scope["spans"]]
        self.taken.update(span["spanId"] for span in spans)
        return Reply("accepted")


def write(state: State, first: int, rows: int, at: float) -> None:
    rng = Random(first)
    state.records.write(
        Record(
            f"{first + k:012d}",
            at + k / rows,
            "ab" * 32,
            "stable",
            {"distance": rng.random(), "carrier": "UA"},
            {"probability": rng.random()},
            seconds={name: value * rng.random() for name, value in SECONDS.items()},
            error="Late: 3 s" if rng.random() < 0.001 else None,
        )
        for k in range(rows)
    )


def cost(rows: int, share: float, folder: Path) -> Measurement:
    """CPU microseconds for each record of the log, the reading of the log included."""
    collector = Away(0.0, 0.0)
    with State.open(folder / f"{share}", "process") as state:
        exporter = TraceExporter(state, Tracer("bench", share=share), collector, now=collector.now)
        write(state, 0, rows, 0.0)
        began = time.process_time()
        done = exporter.export(most_seconds=1e9)
        spent = 1e6 * (time.process_time() - began) / rows
    assert done.behind == 0
    return Measurement("trace_us_per_record", spent, rows, spent, spent, "us", f"share={share:g}")


def outage(rows: int, folder: Path) -> tuple[list[Measurement], bool]:
    """180 seconds of traffic, the collector away for 60 of them: how many spans are missing, and how many double."""
    collector = Away(60.0, 120.0)
    with State.open(folder / "outage", "process") as state:
        tracer = Tracer("bench", share=1.0)
        exporter = TraceExporter(state, tracer, collector, now=collector.now, rng=Random(1))
        for second in range(180):
            collector.time = float(second)
            write(state, second * rows, rows, float(second))
            exporter.export()
        collector.time = 1000.0
        exporter.export()
        expected = {s.span_id for r in state.records.read() for s in _spans(tracer, r)}
    lost, doubled = len(expected - set(collector.taken)), sum(n - 1 for n in collector.taken.values())
    told = [("spans_lost", lost), ("spans_doubled", doubled), ("spans_sent", len(collector.taken))]
    found = [Measurement(name, float(n), len(expected), n, n, where="outage of 60 s") for name, n in told]
    return found, not lost and not doubled


def _spans(tracer: Tracer, record: Record) -> tuple:
    trace = tracer([record])
    return trace.spans if trace else ()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="records whose tracing is timed (20,000)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        costs = [cost(args.rows, share, Path(folder)) for share in (0.0, 0.01, 1.0)]
        found, well = outage(50, Path(folder))
    for one in (*costs, *found):
        print(one)
    print(msgspec.json.encode([*costs, *found]).decode())
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
