"""What a look at a long rollout costs: CPU ms for 500 new rows on top of 600,000, beside reading everything anew.

Usage: python benchmarks/looks.py [--rows 600000] [--gates errors,latency]. Ends with one line of JSON Measurements.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from roadworthy.core.measure import Measurement, Requirement, judge, worst
from roadworthy.core.record import Label, Record
from roadworthy.core.spec import Stage
from roadworthy.core.window import Window
from roadworthy.rollout.control.followed import CANDIDATE_ARMS, CONTROL_ARMS, Followed
from roadworthy.rollout.control.hierarchy import gates_of
from roadworthy.rollout.rollout_state import RolloutState
from roadworthy.store.records import RecordLog
from roadworthy.testing.rollouts import BEGAN, plan_of

SHARE, NEW, LOOKS = 0.05, 500, 10
WANTED = (Requirement("cpu_ms_a_look_rows", at_most=50.0, unit="ms"),)


def rows(first: int, n: int, rng: np.random.Generator) -> list[Record]:
    """Requests of ten columns, one every 10 ms, a few of them out of order."""
    found = []
    for k in range(first, first + n):
        release, arm = ("candidate", "canary") if rng.random() < SHARE else ("control", "stable")
        inputs = {f"x{j}": float(j) for j in range(10)}
        at = BEGAN + k * 0.01 + rng.normal(0, 0.02)
        error = "late" if rng.random() < 0.01 else None
        outputs = {} if error else {"p": 0.5}
        seconds = {"total": float(rng.lognormal(-4, 0.3))}
        found.append(Record(f"r{k:08d}", at, release, arm, inputs, outputs, seconds=seconds, error=error))
    return found


def cpu_ms(work: Callable[[], object]) -> float:
    """The CPU time of one call, of all threads of this process."""
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)


def main() -> int:
    """Fill a log, look at it, and look again and again while rows and labels come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600_000)
    parser.add_argument("--gates", default="errors,latency")
    parser.add_argument("--data", help="not needed here")
    asked = parser.parse_args()
    rng, names = np.random.default_rng(0), asked.gates.split(",")
    plan = plan_of(*names, stages=(Stage("canary", SHARE),))
    now = RolloutState("ab" * 8, "flights", "candidate", "control", plan, BEGAN, BEGAN, "anna")
    gates = gates_of(plan, share=SHARE)
    with tempfile.TemporaryDirectory(prefix="r6_looks_") as folder:
        log = RecordLog(Path(folder) / "records.db", "process")
        for first in range(0, asked.rows, 20_000):
            log.write(rows(first, min(20_000, asked.rows - first), rng))
        written, at = asked.rows, BEGAN + 1e9
        followed = Followed(log, now)
        first_ms = cpu_ms(lambda: followed.rows(now, at))
        costs: dict[str, list[float]] = {name: [] for name in ("rows", *names)}
        for _ in range(LOOKS):
            log.write(rows(written, NEW, rng))
            ids = rng.integers(0, written, NEW).tolist()
            log.write_labels([Label(f"r{k:08d}", 1.0, at - 1) for k in dict.fromkeys(ids)])
            written += NEW
            costs["rows"].append(cpu_ms(lambda: followed.rows(now, at)))
            found = followed.rows(now, at)
            for name, gate in zip(names, gates, strict=True):
                control, candidate = found.stage_control, found.stage_candidate
                costs[name].append(cpu_ms(lambda gate=gate, a=control, b=candidate: gate(a, b)))  # type: ignore[misc]
        # As the controller did it before: both arms as records, and those as columns.
        anew_ms = cpu_ms(
            lambda: [
                Window.of_all(log.read(BEGAN, at, digest, arms))
                for digest, arms in (("control", CONTROL_ARMS), ("candidate", CANDIDATE_ARMS))
            ]
        )
        log.close()
    table = Table("what", "CPU ms", box=None)
    measured = [Measurement("cpu_ms_first_look_rows", first_ms, 1, unit="ms")]
    measured.append(Measurement("cpu_ms_reading_anew", anew_ms, 1, unit="ms"))
    for name, ms in costs.items():
        low, middle, high = (float(x) for x in np.quantile(ms, [0.0, 0.5, 1.0]))
        measured.append(Measurement(f"cpu_ms_a_look_{name}", middle, LOOKS, low, high, "ms"))
    for m in measured:
        table.add_row(m.name, f"{m.value:,.1f}")
    Console(width=120, stderr=True).print(table)
    known = {m.name: m for m in measured}
    # The first look reads what came since the last one and, once, where each id is.
    wanted = [msgspec.structs.replace(known[w.metric], high=known[w.metric].value) for w in WANTED]
    verdicts = [judge(m, w) for m, w in zip(wanted, WANTED, strict=True)]
    print(msgspec.json.encode(measured).decode())
    return 0 if worst(verdicts) == "pass" else 1


if __name__ == "__main__":
    sys.exit(main())
