"""Kills a server with asynchronous jobs again and again: is every accepted job done exactly once, by its key?

Run `python benchmarks/torture_jobs.py [--kills 200] [--seed 7] [--queue sqlite]`. The last line is a JSON list of
Measurements; the exit code is 1 when a job was lost or doubled.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from roadworthy.core.measure import Measurement
from roadworthy.testing.job_deaths import torture


def main() -> int:
    """One trial."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--queue", default="sqlite", help="the plan of the queue; Redis and Kafka must be running")
    asked = parser.parse_args()
    sys.stderr.write(f"seed {asked.seed}, {asked.kills} kills of a server with the queue {asked.queue!r}\n")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = torture(Path(folder), asked.kills, asked.seed, asked.queue, say=sys.stderr.write)
    for fault in tally.faults[:20]:
        print(fault)
    n = len(tally.accepted)
    counts = f"{tally.kills} kills, {n} jobs, {len(tally.again)} tried again, {len(tally.faults)} faults"
    print(f"{counts}, {time.monotonic() - began:.0f} s")
    found = [
        Measurement("job_kills", tally.kills, tally.kills),
        Measurement("jobs_accepted", n, n),
        Measurement("jobs_tried_again", len(tally.again), n),
        Measurement("jobs_lost_or_doubled", len(tally.faults), n),
    ]
    print(msgspec.json.encode(found).decode())
    return int(bool(tally.faults) or not n)


if __name__ == "__main__":
    raise SystemExit(main())
