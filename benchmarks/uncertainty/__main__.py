"""Coverage, calibration and selective prediction: does what the model says of its own doubt hold?

`python benchmarks/uncertainty --data ../shared/data`; the last line is JSON. It exits with 1 where a bound is missed.
Intervals of coverage are those of the mean over random splits; Elec2's worst window is the least of all that begin at
any row. On Elec2 the kind of set, its step and the model's inputs were chosen on this very stream.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import time
from pathlib import Path

import msgspec
from tables import FLIGHTS

from roadworthy.cli.flows import prepare
from roadworthy.core.measure import Measurement, Requirement
from roadworthy.core.project import read_project

PARTS = ("speed_part", "drift_part", "coverage_part", "calibration_part", "selective_part")
TARGET = 0.9
BOUNDS = (
    Requirement("elec2_coverage", at_least=0.89, at_most=0.91),
    Requirement("elec2_worst_window", at_least=0.85),
    Requirement("conformal_us_batch1", at_most=10.0, unit="us"),
    Requirement("mapie_over_ours_lac", at_least=100.0),
    Requirement("mapie_over_ours_aps", at_least=100.0),
    Requirement("mapie_over_ours_raps", at_least=100.0),
    Requirement("digits_accuracy_answered", at_least=0.995),
    Requirement("digits_risk_held", at_least=0.95),
)


def missed_bounds(found: list[Measurement]) -> list[str]:
    """The bounds whose value is missed, in words; what was not measured is not missed."""
    by_name = {one.name: one for one in found}
    told = [
        f"{bound}: {by_name[bound.metric].value:.4g}"
        for bound in BOUNDS
        if bound.metric in by_name and not _meets(by_name[bound.metric].value, bound)
    ]
    told += [f"{one}: at most 10 us" for one in found if one.name.startswith("conformal_us_batch1_") and one.value > 10]
    return told + [wrong for one in found if (wrong := _off_nominal(one))]


def _meets(value: float, bound: Requirement) -> bool:
    low = -math.inf if bound.at_least is None else bound.at_least
    high = math.inf if bound.at_most is None else bound.at_most
    return low <= value <= high


def _off_nominal(one: Measurement) -> str:
    """What is wrong with a coverage over splits, a share of splits within tolerance, or an equality with a peer."""
    if one.name.startswith(("splits_within", "groups_within")) and one.high < 0.95:
        return f"{one.name}: {one.value:.3f} of splits within the 95 % tolerance of nominal"
    expected = one.conditions.get("expected")
    if expected is not None and (one.high < TARGET or one.low > expected):
        return f"{one.name}: {one.value:.4f} [{one.low:.4f}, {one.high:.4f}], expected {TARGET} to {expected:.4f}"
    if one.name.startswith("same_as") and one.value < 1:
        return f"{one.name}: {one.value:.4f} of rows hold the same"
    if one.name.startswith("furthest_from") and one.value > 1e-6:
        return f"{one.name}: intervals differ by {one.value:.2g} of their size"
    return ""


def main() -> None:
    """Run the parts, print a table and the bounds that are missed, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the recorded data")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; may be given several times")
    given = parser.parse_args()
    prepare(read_project(FLIGHTS, check_files=False), print)
    found: list[Measurement] = []
    for part in given.part or PARTS:
        if not Path(__file__).with_name(f"{part}.py").is_file():
            print(f"{part} is not there")
            continue
        started = time.process_time()
        some = list(importlib.import_module(part).measure(given.data))
        print(f"\n{part} ({time.process_time() - started:.0f} s of processor time)")
        for one in some:
            print(f"  {one}")
        found += some
    missed = missed_bounds(found)
    print("\n" + ("\n".join(f"MISSED {one}" for one in missed) or "every bound measured is met"))
    print(msgspec.json.encode(found).decode())
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
