"""What the scale-out pair costs: rows per CPU second from the local log into Kafka, into Delta, and back as rows.

The brokers are those that librdkafka plays, in a process of their own, so that their work is not counted as ours; the
tables lie on this disk. It also says how many rows are there, once each, and what a straight way into Delta costs.
Run `python benchmarks/ship.py`. It prints a table; the last line is a JSON list of Measurements.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.store.arrivals import Arrivals
from roadworthy.store.base import OpenShipment
from roadworthy.store.delta_log import DeltaLog
from roadworthy.store.kafka_feed import Drain, Feed
from roadworthy.store.shipments.delta import Delta
from roadworthy.store.shipments.kafka import QUIET, Kafka
from roadworthy.store.shipping import Shipping
from roadworthy.store.state import State

RELEASE = "5b" * 32
BROKERS = """
import sys
from roadworthy.store.shipments.kafka import played_brokers
with played_brokers() as servers:
    print(servers, flush=True)
    sys.stdin.read()
"""
# These brokers keep about 5 MB of a partition: it is drained before it overflows.
ROUND = 10_000


def record(k: int, rng: np.random.Generator) -> Record:
    """A row like those of the flights project: 16 inputs, one output, stage timings, two tags."""
    numbers = {f"feature_{j}": float(x) for j, x in enumerate(rng.normal(size=12).round(3))}
    words = {"carrier": "UA", "origin": "EWR", "dest": f"D{k % 100}", "tail": f"N{k % 4000}"}
    seconds = {"queue": 0.0002, "model": 0.0004, "total": float(rng.exponential(0.001))}
    tags = {"carrier": "UA", "month": str(k % 12 + 1)}
    chance = float(rng.random())
    return Record(
        f"{k:016x}", 1.7e9 + k, RELEASE, "stable", {**numbers, **words}, {"p": chance}, 0.7, seconds=seconds, tags=tags
    )


def spent(act: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of all our threads, and seconds on the clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    act()
    return time.process_time() - cpu, time.perf_counter() - wall


@contextmanager
def brokers() -> Iterator[str]:
    """Brokers in another process."""
    with subprocess.Popen(
        [sys.executable, "-c", BROKERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


def run(rows: int, folder: Path) -> dict[str, tuple[float, float]]:
    """CPU and clock seconds of each leg for so many rows."""
    rng = np.random.default_rng(0)
    legs: dict[str, list[tuple[float, float]]] = {"log to Kafka": [], "Kafka to Delta": [], "log to Delta": []}
    straight, drained = DeltaLog(str(folder / "straight")), DeltaLog(str(folder / "drained"))
    with State.open(folder / "state", "process") as state, brokers() as servers:

        def shipping(name: str, opened: OpenShipment) -> Shipping:
            return Shipping(Arrivals(state.records), opened, state.engine, name, "bench")

        kafka = shipping("ship:kafka", Kafka(servers, "bench", QUIET)())
        delta = shipping("ship:delta", Delta(straight.uri)())
        drain = Drain(Feed(servers, "bench", QUIET, gather_seconds=0.3), drained)
        for start in range(0, rows, ROUND):
            state.records.write(record(k, rng) for k in range(start, start + ROUND))
            legs["log to Kafka"].append(spent(lambda: kafka.catch_up(time.time)))
            legs["Kafka to Delta"].append(spent(lambda: [drain.step() for _ in iter(lambda: drain.lag().value, 0.0)]))
            legs["log to Delta"].append(spent(lambda: delta.catch_up(time.time)))
        found: list[int] = []
        reading = spent(lambda: found.append(len(drained.read())))
        scanning = spent(lambda: found.append(drained.scan().select("id", "inputs.feature_1").collect().height))
        physical = drained.records.scan().select("id").collect().height
        drain.close()
    if (*found, physical) != (rows, rows, rows):
        sys.exit(f"{rows} rows were shipped; {found} can be read and {physical} lie there")
    summed = {leg: (sum(c for c, _ in all_), sum(w for _, w in all_)) for leg, all_ in legs.items()}
    return {**summed, "Delta to records": reading, "Delta to two columns": scanning}


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--data", type=Path, default=None, help="not needed: the rows are made up")
    rows = parser.parse_args().rows // ROUND * ROUND
    with tempfile.TemporaryDirectory() as folder:
        legs = run(rows, Path(folder))
    print(f"{'leg':<24}{'rows per CPU-second':>22}{'rows per second':>18}")
    for leg, (cpu, wall) in legs.items():
        print(f"{leg:<24}{rows / cpu:>22,.0f}{rows / wall:>18,.0f}")
    chain = sum(legs[leg][0] for leg in ("log to Kafka", "Kafka to Delta", "Delta to records"))
    print(f"{'log to Kafka to Delta to records':<24}{rows / chain:>14,.0f}   all {rows:,} rows there, each once")
    named = {**{leg: cpu for leg, (cpu, _) in legs.items()}, "whole chain": chain}
    told = [
        Measurement("ship_rows_per_cpu_s", rows / cpu, rows, unit="rows/s", where=leg.replace(" ", "_").lower())
        for leg, cpu in named.items()
    ]
    print(msgspec.json.encode(told).decode())


if __name__ == "__main__":
    main()
