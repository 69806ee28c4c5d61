"""What the record log costs: microseconds on the request's side, and durable rows per CPU second on the writer's.

Run `python benchmarks/record.py`. It prints a table; the last line is a JSON list of Measurements.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.store.records import RecordLog

ROUNDS = 7
ROWS = 20_000
IN_FLIGHT = 256
RELEASE = "5b" * 32
INPUTS = {f"feature_{k}": k * 1.37 for k in range(12)} | {"carrier": "UA", "origin": "EWR", "dest": "IAH", "tail": "N1"}
SECONDS = {"queue": 0.0002, "model": 0.0004, "total": 0.0011}


def one_round(durability: str, first: int) -> tuple[list[float], float, float]:
    """Seconds that each append took its caller, wall seconds and CPU seconds (all threads) until all was durable."""
    with tempfile.TemporaryDirectory() as directory:
        log = RecordLog(Path(directory) / "records.db", "power" if durability == "power" else "process")
        log.write([record(first - 1)])
        wall, cpu = time.perf_counter(), time.process_time()
        taken = asyncio.run(append_all(log, first))
        spent = time.perf_counter() - wall, time.process_time() - cpu
        if log.count() != ROWS + 1:
            sys.exit(f"{ROWS + 1} rows were acknowledged and {log.count()} are there")
        log.close()
    return taken, *spent


async def append_all(log: RecordLog, first: int) -> list[float]:
    """Append as a server under load does: IN_FLIGHT at a time, each group awaited before the next."""
    taken: list[float] = []
    for start in range(first, first + ROWS, IN_FLIGHT):
        waiting = []
        for k in range(start, min(start + IN_FLIGHT, first + ROWS)):
            begun = time.perf_counter()
            waiting.append(log.append(lambda k=k: (record(k),)))
            taken.append(time.perf_counter() - begun)
        await asyncio.gather(*waiting)
    return taken


def record(k: int) -> Record:
    """A row like those of the flights project: 16 inputs, one output, stage timings, two tags."""
    tags = {"carrier": "UA", "month": "5"}
    return Record(
        f"{k:016x}", float(k), RELEASE, "stable", INPUTS, {"probability": 0.31}, 0.7, seconds=SECONDS, tags=tags
    )


def measured(name: str, unit: str, values: list[float], n: int, durability: str) -> Measurement:
    """The median over the rounds, with the least and the most of them as the interval."""
    conditions = {
        "durability": durability,
        "rounds": ROUNDS,
        "in_flight": IN_FLIGHT,
        "cpus": os.cpu_count(),
        "interval": "range of the rounds",
    }
    return Measurement(
        name,
        float(np.median(values)),
        n,
        min(values),
        max(values),
        unit,
        "" if durability == "power" else f"durability={durability}",
        conditions,
    )


def main() -> None:
    """Measure both kinds of durability; the figures without a slice are those of the default, `power`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not used: this benchmark makes its own rows")
    parser.parse_args()
    found: list[Measurement] = []
    for durability in ("power", "process"):
        rounds = [one_round(durability, 1 + k * ROWS) for k in range(ROUNDS)]
        microseconds = [np.percentile(np.array(taken) * 1e6, (50, 99)) for taken, _, _ in rounds]
        found += [
            measured("request_side_p50_us", "us", [float(m[0]) for m in microseconds], ROWS * ROUNDS, durability),
            measured("request_side_p99_us", "us", [float(m[1]) for m in microseconds], ROWS * ROUNDS, durability),
            measured(
                "durable_rows_per_cpu_s", "rows/s", [ROWS / cpu for _, _, cpu in rounds], ROWS * ROUNDS, durability
            ),
            measured("durable_rows_per_s", "rows/s", [ROWS / wall for _, wall, _ in rounds], ROWS * ROUNDS, durability),
        ]
    print(f"{'':24} {'durability':12} {'median':>10} {'least':>10} {'most':>10}")
    for m in found:
        print(f"{m.name:24} {m.conditions['durability']:12} {m.value:10,.1f} {m.low:10,.1f} {m.high:10,.1f}")
    print(msgspec.json.encode([m for m in found if math.isfinite(m.value)]).decode())


if __name__ == "__main__":
    main()
