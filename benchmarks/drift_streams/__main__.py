"""Detectors of several columns, streams and the kind of drift, on digits, flights, Elec2, weather and injected drifts.

python benchmarks/drift_streams --data ../shared/data

Without the folder of recorded data, Elec2 and weather are left out. It exits with 1 where a bound is missed; the last
line is a JSON list of Measurements.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import msgspec
from kinds import KINDS, confusion
from levels import cost, levels
from retraining import compared, read
from september import PROJECT, seen
from waiting import waits

from digits import found_shifts
from roadworthy.core.measure import Measurement

LEAST_RIGHT = 0.9


def kinds_told(cases: int) -> tuple[list[Measurement], bool]:
    """Confusion tables of injected drifts."""
    found = []
    for labelled, share in ((1.0, 1.0), (0.4, 0.3), (0.0, 0.3)):
        told, right = confusion(max(1, round(cases * share)), labelled)
        print(f"\nkinds of drift, {labelled:.0%} of the labels known: {right}")
        said = [*KINDS, "cannot tell"]
        print(f"{'injected':18}" + "".join(f"{name:>16}" for name in said))
        for kind, counts in told.items():
            print(f"{kind:18}" + "".join(f"{counts[name]:16}" for name in said))
        found.append(right)
    return found, found[0].value >= LEAST_RIGHT


def main() -> None:
    """Every table, then the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cases", type=int, default=42, help="injected drifts of each of five kinds")
    parser.add_argument("--draws", type=int, default=200, help="draws a size and detector")
    args = parser.parse_args()
    began = time.process_time()
    found: list[Measurement] = []
    missed: list[str] = []

    def keep(what: str, measured: list[Measurement], kept: bool) -> None:
        found.extend(measured)
        missed.extend([] if kept else [what])
        print(f"  [{time.process_time() - began:.0f} CPU s]", file=sys.stderr)

    measured, within = cost()
    keep("the classifier's cost", [measured], within)
    keep("values between false alarms", *waits(300_000))
    keep("shifts of digits", *found_shifts(max(10, args.draws // 8)))
    keep("false alarms of detectors", *levels(args.draws))
    keep("kinds of drift", *kinds_told(args.cases))
    if (PROJECT / "data" / "production.parquet").is_file():
        keep("September of the flights", *seen())
    else:
        print(f"\nno flights: make them with `python {PROJECT / 'prepare.py'}`")
    if (args.data / "drift" / "elec2").is_dir():
        for data in read(args.data):
            keep(data.name, compared(data, shuffles=3), True)
    else:
        print(f"\nno recorded streams in {args.data}: Elec2 and weather are left out")
    print(f"\nmissed: {', '.join(missed) or 'nothing'}")
    print(msgspec.json.encode(found).decode())
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
