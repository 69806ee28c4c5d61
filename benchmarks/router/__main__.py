"""How well routers fitted to 1,500 judged MMLU questions route the rest, segment by segment, mistyped and shifted.

`python benchmarks/router --data ../shared/data`; the last line is JSON. It exits with 1 where a bound is missed.

The recorded answers are split by a hash of the prompt: on the tuning part (35 %) the features, their scales and the
grid of ridges were chosen; figures are of the reported part (65 %), of which 1,500 rows are judged and the others
routed. The prompts of the tuning part, not its labels, stand for unlabelled traffic. Not so the worst segment: it is of
all rows, for a subject has few; its floors were chosen on the same questions (`segments_part`). "floors
kept" is the curve of the very routers whose worst segment is told.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
from pathlib import Path

import msgspec
from figures import held_out, over_draws
from mmlu import read
from segments_part import KEPT, worst_segments
from shift_part import shifts
from speed_part import speeds

from roadworthy.core.measure import Measurement, Requirement

BOUNDS = (
    Requirement("apgr", at_least=0.63),
    Requirement("cpt50", at_most=0.31),
    Requirement("cpt80", at_most=0.67),
    Requirement("worst_segment_over_mean", at_most=2.0),
    Requirement("flips_under_typos", at_most=0.05),
    Requirement("false_alarms", at_most=0.02),
    Requirement("decision_us", at_most=30.0, unit="us"),
    Requirement("decisions_per_second", at_least=155, unit="1/s"),
)
# The stream may be worse than chance by so much, and must sound within so many requests.
SHIFT_BOUNDS = (
    Requirement("apgr_over_random", at_least=-0.01),
    Requirement("alarm_after", at_most=2000, unit="requests"),
)


def verdicts(found: list[Measurement]) -> tuple[list[str], bool]:
    """A line for each bound, and whether one is missed (by its value: rows are as many as there are)."""
    lines, missed = [], False
    for bound in (*BOUNDS, *SHIFT_BOUNDS):
        rows = [m for m in found if m.name == bound.metric]
        rows = rows if bound in SHIFT_BOUNDS else [*rows[:1], *(m for m in rows[1:] if m.where == KEPT)]
        for m in rows:
            low = -float("inf") if bound.at_least is None else bound.at_least
            high = float("inf") if bound.at_most is None else bound.at_most
            met = low <= m.value <= high
            missed = missed or not met
            lines.append(f"  {m}: {bound} {'met' if met else 'MISSED'}")
    return lines, missed


def ledger(data: Path) -> list[Measurement]:
    """What the ledger's part measures, where it is there."""
    if importlib.util.find_spec("ledger_part") is None:
        return []
    found: list[Measurement] = importlib.import_module("ledger_part").measure(data)
    return found


def main() -> None:
    """Fit, route, print the figures and, as the last line, the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of recorded data")
    parser.add_argument("--seeds", type=int, default=8, help="draws of the labels (default 8)")
    parser.add_argument("--runs", type=int, default=200, help="unchanged streams to watch (default 200)")
    given = parser.parse_args()
    begin = time.process_time()
    tuning, reported = read(given.data)
    print(f"{reported.n:,} questions reported, {tuning.n:,} tuned on; 1,500 labels, {given.seeds} draws")
    told, fits = over_draws(tuning, reported, given.seeds)
    apart, routers = held_out(tuning, reported)
    told += apart + worst_segments(tuning, reported, given.seeds)
    told += shifts(given.data, tuning, reported, routers, given.runs)
    told += speeds(fits[0].router, reported) + ledger(given.data)
    for m in told:
        extra = f"  {dict(m.conditions)}" if m.conditions else ""
        print(f"  {m}{extra}")
    lines, missed = verdicts(told)
    print("\nbounds:", *lines, f"  ({time.process_time() - begin:.0f} s of CPU)", sep="\n")
    print(msgspec.json.encode(told).decode())
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
