"""How often stop rules roll back a good canary in a day of looking every 5 minutes, and how fast they stop a bad one.

200,000 requests a day, 5 % of them on the canary; then the intervals of the quality gate on flights, whose labels come
late and whose storms last. `python benchmarks/rollout --runs 4000`; the last line is JSON. It exits with 1 where a
bound is missed, and says so where the interval of a figure lies on both sides of its bound.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
from days import LOOK_ENDS, SHARE, Course, Day
from gains import seconds_of_a_look, seconds_of_a_plan, variance_ratios
from misses import measured, misses
from numpy.typing import NDArray
from pool import FLIGHTS, Pool, pool_of
from rules import RULES, Rule, growthbook_bounds

from roadworthy.core.measure import Measurement, Requirement, judge
from roadworthy.core.stats import proportion
from roadworthy.rollout.gates.quality import Quality

RAMP = ((SHARE, 1.0), (0.25, 2.0), (0.5, 3.0))
GOOD = {
    "1pct": Course(0.01, 0.01),
    "01pct": Course(0.001, 0.001),
    "1pct_bursts": Course(0.01, 0.01, bursts=True),
    "01pct_bursts": Course(0.001, 0.001, bursts=True),
    "1pct_ramp": Course(0.01, 0.01, RAMP),
}
BAD = {"1_to_5pct": Course(0.01, 0.05), "1_to_2pct": Course(0.01, 0.02), "01_to_1pct": Course(0.001, 0.01)}
TITLES = ("1 %", "0.1 %", "1 % bursts", "0.1 % bursts", "1 % ramp", "1 to 5 %", "1 to 2 %", "0.1 to 1 %")
OURS = "e-process (ours)"
TIMES = 4
BOUNDS = (
    Requirement("false_rollback_per_day_1pct", at_most=0.02),
    Requirement("false_rollback_per_day_01pct", at_most=0.02),
    Requirement("median_requests_1_to_5pct", at_most=150, unit="requests"),
    Requirement("median_requests_1_to_2pct", at_most=1500, unit="requests"),
    Requirement("median_requests_01_to_1pct", at_most=320, unit="requests"),
)
GROWTHBOOK = Path(__file__).parents[2] / ".bench" / "gbstats" / "bin" / "python"


def compare_rules(runs: int, rules: dict[str, Rule], rng: np.random.Generator) -> dict[str, list[Measurement]]:
    """Each rule's measurements, on the same simulated days."""
    found: dict[str, list[Measurement]] = {name: [] for name in rules}
    for label, course in {**GOOD, **BAD}.items():
        stops: dict[str, list[NDArray[np.float64]]] = {name: [] for name in rules}
        for start in range(0, runs, 500):
            day = Day.simulate(course, min(500, runs - start), rng)
            for name, rule in rules.items():
                stops[name].append(requests_to_stop(rule, day))
        for name in rules:
            values = np.concatenate(stops[name])
            wanted = proportion(f"false_rollback_per_day_{label}", int(np.isfinite(values).sum()), runs)
            found[name].append(wanted if label in GOOD else median(f"median_requests_{label}", values))
    return found


def requests_to_stop(rule: Rule, day: Day) -> NDArray[np.float64]:
    """Canary requests at the look that stops each run; infinite where the day ends first."""
    stops = rule(day)
    seen = day.until(LOOK_ENDS)[2]
    first = stops.argmax(axis=1)
    return np.where(stops.any(axis=1), seen[np.arange(len(seen)), first], np.inf)


def median(name: str, values: NDArray[np.float64]) -> Measurement:
    """The median with the distribution-free interval of its order statistics."""
    ordered, n = np.sort(values), len(values)
    half = 0.98 * math.sqrt(n)
    low, high = ordered[max(0, int(n / 2 - half))], ordered[min(n - 1, math.ceil(n / 2 + half))]
    return Measurement(name, float(np.median(ordered)), n, float(low), float(high), "requests")


def judge_quality(pool: Pool, runs: int, rng: np.random.Generator) -> list[Measurement]:
    """How often intervals miss: in storms of an afternoon, with what the inputs foretell, and in storms of a day."""
    found = []
    plain = {m: Quality(metric=m, least_hours=24, covariates=()) for m in ("log_loss", "auc", "error")}
    for (name, where), counts in misses(pool, plain, ("pairs", "split"), runs, rng).items():
        found += measured(f"quality_miss_{name}_{where}", counts, runs)
    told = {"inputs": Quality(least_hours=24), "inputs_and_labels": Quality(least_hours=24, fixed_labels=True)}
    for (name, _), counts in misses(pool, told, ("split",), runs // 2, rng, looks=(48, 72, 120)).items():
        found += measured(f"quality_miss_log_loss_split_{name}", counts, runs // 2, (48, 72, 120))
    long, looks = {m: Quality(metric=m, least_hours=72) for m in ("log_loss", "auc", "error")}, (84, 96, 120, 144, 168)
    for (name, where), counts in misses(pool, long, ("pairs",), runs // 4, rng, 24.0, looks).items():
        found += measured(f"quality_miss_{name}_{where}_storms_of_a_day", counts, runs // 4, looks)
    return found


def like_growthbook(rng: np.random.Generator) -> str:
    """Whether our formula gives the intervals of gbstats, where that is installed."""
    if not GROWTHBOOK.is_file():
        return "GrowthBook's formula is from the paper; gbstats is not in .bench/gbstats, so it was not compared"
    rows = rng.integers(20_000, 200_000, 20)
    counts = np.stack([rng.binomial(rows, 0.01), rows, rng.binomial(rows // 20, 0.012), rows // 20], axis=1)
    asked = json.dumps(counts.tolist())
    side = Path(__file__).with_name("growthbook_side.py")
    told = subprocess.run([GROWTHBOOK, side], input=asked, capture_output=True, text=True, timeout=120, check=True)
    theirs = np.array(json.loads(told.stdout))
    ours = np.array([growthbook_bounds(*counts.T, relative=relative) for relative in (False, True)]).transpose(2, 0, 1)
    furthest = float(np.abs(ours - theirs).max())
    if furthest > 1e-9:
        raise SystemExit(f"our formula differs from that of gbstats by {furthest:.3g}")
    return f"GrowthBook's formula gives the intervals of gbstats 0.8.0 ({len(rows)} inputs, furthest {furthest:.1e})"


def verdicts(found: list[Measurement]) -> tuple[list[str], bool]:
    """A line for each bound, and whether one is missed (its whole interval lies beyond)."""
    by_name = {m.name: m for m in found}
    nominal = [
        Requirement(m.name, at_most=Quality().alpha)
        for m in found
        if m.name.startswith("quality_miss") and m.name.endswith("_worst_look")
    ]
    judged = [judge(by_name[bound.metric], bound) for bound in (*BOUNDS, *nominal)]
    words = {"pass": "met", "fail": "MISSED", "wait": "its interval lies on both sides"}
    return [f"  {v.because}: {words[v.decision]}" for v in judged], any(v.decision == "fail" for v in judged)


def show(found: dict[str, list[Measurement]]) -> None:
    """The table for people."""
    widths = [max(11, len(title) + 2) for title in TITLES]
    good = sum(widths[: len(GOOD)])
    print(
        f"{'':34}{'good canary rolled back in a day':>{good}}{'median canary requests to stop':>{sum(widths) - good}}"
    )
    print(f"{'rule':34}" + "".join(title.rjust(width) for title, width in zip(TITLES, widths, strict=True)))
    for name, row in found.items():
        told = [f"{100 * m.value:.1f} %" if m.unit == "1" else f"{m.value:,.0f}" for m in row]
        print(f"{name:34}" + "".join(cell.rjust(width) for cell, width in zip(told, widths, strict=True)))
    print("bursts: a fifth of all requests fails for five minutes, six times a day, whichever arm they are on")
    print("ramp: 5, 25 and 50 % for eight hours each, with 1, 2 and 3 times the errors; ours begins anew at each stage")


def main() -> None:
    """Simulate, print the tables and, as the last line, the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4000, help="simulated days per rate (default 4000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=FLIGHTS / "data", help="a folder with the tables of the flights")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    begin = time.process_time()
    rules = compare_rules(given.runs, RULES, rng)
    # More days for ours: its figures are held against bounds that they come close to.
    rules |= compare_rules(TIMES * given.runs, {OURS: RULES[OURS]}, rng)
    show(rules)
    print(f"\n{like_growthbook(rng)}")
    there = given.data if (given.data / "production.parquet").is_file() else FLIGHTS / "data"
    pool = pool_of(there, rng)
    quality = judge_quality(pool, (given.runs + 1) // 2, rng)
    print(
        f"\nquality gate, two equally good models ({pool.source}): intervals that miss 0, allowed {Quality().alpha:.0%}"
    )
    gains = variance_ratios(pool, max(2, given.runs // 100), rng)
    spent = [*seconds_of_a_look(rng), *seconds_of_a_plan(rng)]
    for m in (*quality, *gains, *spent):
        print(f"  {m}")
    lines, missed = verdicts([*rules[OURS], *quality])
    print("\nbounds:", *lines, f"  ({time.process_time() - begin:.0f} s of CPU)", sep="\n")
    print(msgspec.json.encode([*rules[OURS], *quality, *gains, *spent]).decode())
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
