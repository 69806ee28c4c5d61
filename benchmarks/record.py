"""What the record log costs: microseconds on the request's side, and durable rows per CPU second of all threads.

Rows are of two kinds: 16 columns, as in the flights project, and one vector of 64 floats, as in the serving benchmark,
the latter with 64 in flight, as many as that benchmark has connections. Then ten million sealed records: one id, and an
hour's percentiles. Run `python benchmarks/record.py`. It prints a table and which bounds hold; the last line is a JSON
list of Measurements. The exit code is 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import msgspec
import numpy as np

import record_history
from roadworthy.core.measure import Measurement, Requirement, judge
from roadworthy.core.record import Record
from roadworthy.store.files import Durability
from roadworthy.store.records import RecordLog

DURABILITIES: tuple[Durability, ...] = get_args(Durability)[::-1]
ROUNDS = 7
ROWS = 20_000
RELEASE = "5b" * 32
ROOT = Path(__file__).parents[1]
FLIGHTS = ROOT / "examples" / "flights" / "data"
CACHE = ROOT / ".bench" / "record10m"
BOUNDS = {
    "request_side_p50_us": Requirement("request_side_p50_us", at_most=1.0, unit="us"),
    "request_side_p99_us": Requirement("request_side_p99_us", at_most=10.0, unit="us"),
    "durable_rows_per_cpu_s": Requirement("durable_rows_per_cpu_s", at_least=100_000.0, unit="rows/s"),
    "lookup_ms_10m": Requirement("lookup_ms_10m", at_most=10.0, unit="ms"),
    "hour_percentiles_ms_10m": Requirement("hour_percentiles_ms_10m", at_most=300.0, unit="ms"),
}
INPUTS = {f"feature_{k}": k * 1.37 for k in range(12)} | {"carrier": "UA", "origin": "EWR", "dest": "IAH", "tail": "N1"}
VECTOR = {"x": np.random.default_rng(0).normal(size=64).astype(np.float32)}
SCORES = {"scores": np.full(10, 0.1).tolist()}
SECONDS = {"queue": 0.0002, "model": 0.0004, "total": 0.0011}


class Case(NamedTuple):
    """What is written, and how many callers wait at a time."""

    name: str
    record: Callable[[int], Record]
    in_flight: int


def one_round(case: Case, durability: Durability, first: int) -> tuple[list[float], float, float]:
    """Seconds that each append took its caller, wall seconds and CPU seconds (all threads) until all was durable."""
    with tempfile.TemporaryDirectory() as directory:
        log = RecordLog(Path(directory) / "records.db", durability)
        log.write([case.record(first - 1)])
        wall, cpu = time.perf_counter(), time.process_time()
        taken = asyncio.run(append_all(case, log, first))
        spent = time.perf_counter() - wall, time.process_time() - cpu
        if log.count() != ROWS + 1:
            sys.exit(f"{ROWS + 1} rows were acknowledged and {log.count()} are there")
        log.close()
    return taken, *spent


async def append_all(case: Case, log: RecordLog, first: int) -> list[float]:
    """Append as a server under load does: so many at a time, each group awaited before the next."""
    taken: list[float] = []
    for start in range(first, first + ROWS, case.in_flight):
        waiting = []
        for k in range(start, min(start + case.in_flight, first + ROWS)):
            begun = time.perf_counter()
            waiting.append(log.append(lambda k=k: (case.record(k),)))
            taken.append(time.perf_counter() - begun)
        await asyncio.gather(*waiting)
    return taken


def columns(k: int) -> Record:
    """A row like those of the flights project: 16 inputs, one output, stage timings, two tags."""
    tags = {"carrier": "UA", "month": "5"}
    return Record(
        f"{k:016x}", float(k), RELEASE, "stable", INPUTS, {"probability": 0.31}, 0.7, seconds=SECONDS, tags=tags
    )


def vector(k: int) -> Record:
    """A row like those of the serving benchmark: a vector of 64, ten probabilities, stage timings."""
    return Record(f"{k:016x}", float(k), RELEASE, "stable", VECTOR, SCORES, 0.7, seconds=SECONDS)


CASES = (Case("16 columns", columns, 256), Case("a vector of 64", vector, 64))


def measured(case: Case, name: str, unit: str, values: list[float], durability: Durability) -> Measurement:
    """The median over the rounds, with the least and the most of them as the interval."""
    conditions = {
        "durability": durability,
        "rounds": ROUNDS,
        "in_flight": case.in_flight,
        "cpus": os.cpu_count(),
        "interval": "range of the rounds",
    }
    slices = [] if case is CASES[0] else [case.name]
    slices += [] if durability == "power" else [f"durability={durability}"]
    where = ", ".join(slices)
    n = ROWS * ROUNDS
    return Measurement(name, float(np.median(values)), n, min(values), max(values), unit, where, conditions)


def handed_over() -> list[Measurement]:
    """Both kinds of rows and of durability; the figures without a slice are of columns with `power`."""
    found: list[Measurement] = []
    for case in CASES:
        for durability in DURABILITIES:
            rounds = [one_round(case, durability, 1 + k * ROWS) for k in range(ROUNDS)]
            waited = [np.percentile(np.array(taken) * 1e6, (50, 99)) for taken, _, _ in rounds]
            figures = {
                ("request_side_p50_us", "us"): [float(m[0]) for m in waited],
                ("request_side_p99_us", "us"): [float(m[1]) for m in waited],
                ("record_cpu_us", "us"): [cpu / ROWS * 1e6 for _, _, cpu in rounds],
                ("durable_rows_per_cpu_s", "rows/s"): [ROWS / cpu for _, _, cpu in rounds],
                ("durable_rows_per_s", "rows/s"): [ROWS / wall for _, wall, _ in rounds],
            }
            found += [measured(case, name, unit, values, durability) for (name, unit), values in figures.items()]
    return found


def sealing() -> list[Measurement]:
    """What it costs to move rows of both kinds into segments: the median of three rounds."""
    found = []
    for case in CASES:
        rounds = []
        for _ in range(3):
            with tempfile.TemporaryDirectory() as directory:
                log = RecordLog(Path(directory) / "records.db", "process")
                log.write(map(case.record, range(100_000)))
                rounds.append(record_history.sealed(log, 100_000))
                log.close()
        low, middle, high = sorted(rounds, key=lambda m: m.value)
        where = "" if case is CASES[0] else case.name
        found.append(msgspec.structs.replace(middle, low=low.value, high=high.value, where=where))
    return found


def missed(found: list[Measurement]) -> list[str]:
    """Print whether each bound holds, and give those that do not."""
    names = []
    for m in found:
        bound = BOUNDS.get(m.name)
        if bound is not None and not m.where:
            # The bound is on the median: the range of the rounds is that of a machine that is shared.
            alone = msgspec.structs.replace(m, low=m.value, high=m.value)
            verdict = judge(alone, bound)
            print(f"{verdict.decision:5} {verdict.because}")
            names += [m.name] if verdict.decision != "pass" else []
    return names


def main() -> None:
    """Measure, print the table, and compare with the bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=FLIGHTS, help="folder with the Parquet files of the flights")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the ten million records are kept")
    args = parser.parse_args()
    found = handed_over() + sealing()
    log, cached = record_history.history(args.data, args.cache)
    found += record_history.asked(log, cached)
    log.close()
    print(f"{'':24} {'':36} {'median':>10} {'least':>10} {'most':>10}")
    for m in found:
        print(f"{m.name:24} {m.where:36} {m.value:10,.1f} {m.low:10,.1f} {m.high:10,.1f}")
    late = missed(found)
    print(msgspec.json.encode([m for m in found if math.isfinite(m.value)]).decode())
    sys.exit(1 if late else 0)


if __name__ == "__main__":
    main()
