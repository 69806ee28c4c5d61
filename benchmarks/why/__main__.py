"""How often `why` names the cause of an incident: 200 of them, injected into a real server under real HTTP traffic.

It starts `roadworthy serve`, sends requests with tags, inputs of many lengths and a cache in the way, and injects each
fault for some seconds: a slow tenant (region, client, kind), a slow release on a canary, a cache that is lost, long
inputs, another mix of callers, other processes on the same cores. From these rows 200 incidents are cut: see
`conditions`. Beside them stand windows in which nothing was injected, and the cost of a million rows.
Run `python benchmarks/why`. It prints a table; the last line is a JSON list of Measurements; 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from incidents import KINDS, Incident, controls, incidents, is_right
from recording import Part, record

from roadworthy.core.measure import Measurement, Requirement, judge
from roadworthy.core.stats import proportion
from roadworthy.observe.root_cause.why import Why, why

MILLION = 1_000_000
BOUNDS = (
    Requirement("top1", at_least=0.9),
    Requirement("top3", at_least=0.98),
    Requirement("cpu_s_per_million", at_most=5.0, unit="s"),
)
HOW = (
    "one run of `roadworthy serve` under open-loop HTTP; each fault really injected for some seconds, in the model, in"
    " a wrapper, in the callers or by other processes; an incident is a quiet stretch followed by 50 to 100 % of the"
    " rows of one injection, against the quiet stretches recorded nearest to it, in their order and pace, as if at"
    " 03:00; tenants are renamed by seed; asked is one of mean, p95 and p99 that rose by at least 25 %, also against"
    " the quiet stretches right before and after it; windows upon which work of others came are left out; changes are"
    " made up, but for the canary's start"
)


def diagnose(incident: Incident) -> Why:
    """What a person would be told."""
    given = (incident.now, incident.before, incident.when, incident.metric)
    return why(*given, changes=incident.changes, host=incident.host)


def place_of(incident: Incident, found: Why) -> int:
    """The place of the right cause among those that were named, from 1; 0 where it was not named."""
    for k, cause in enumerate(found.causes, 1):
        if is_right(incident, cause.kind, cause.what, cause.aliases):
            return k
    return 0


def judged(made: Sequence[Incident], verbose: bool) -> tuple[list[int], list[float]]:
    """The place of the right cause in each, and how many seconds the onset is off."""
    places, off = [], []
    for incident in made:
        found = diagnose(incident)
        places.append(place_of(incident, found))
        if found.onset is not None:
            off.append(abs(found.onset - incident.onset))
        if verbose and places[-1] != 1:
            named = " | ".join(f"{c.kind} {c.what} {c.score:.2f}" for c in found.causes[:4])
            print(f"  {incident.kind:13}{incident.what:28}{incident.metric:5}{incident.strength:6.2f} "
                  f"{found.verdict.decision} -> {named}")  # fmt: skip
    return places, off


def table(made: Sequence[Incident], places: Sequence[int]) -> None:
    """First places by kind."""
    print(f"{'kind':16}{'incidents':>10}{'first':>8}{'first 3':>9}{'not moved':>11}")
    for kind in KINDS:
        mine = [place for incident, place in zip(made, places, strict=True) if incident.kind == kind]
        first, three = sum(p == 1 for p in mine), sum(1 <= p <= 3 for p in mine)
        print(f"{kind:16}{len(mine):>10}{first:>8}{three:>9}")


def cpu_of_a_million(incident: Incident, rng: np.random.Generator) -> float:
    """CPU seconds for a window of a million rows against as many, drawn from one incident's with replacement."""
    frames = []
    for frame in (incident.now, incident.before):
        rows = np.sort(rng.integers(0, frame.height, MILLION))
        noise = rng.lognormal(0.0, 0.05, MILLION)
        drawn = frame[rows].with_columns(
            pl.col(c) * pl.Series(noise) for c in frame.columns if c.startswith("seconds.")
        )
        frames.append(drawn.with_columns(pl.Series("id", [f"m{k}" for k in range(MILLION)])))
    started = time.process_time()
    why(*frames, incident.when, incident.metric, changes=incident.changes, host=incident.host)
    return time.process_time() - started


def measurements(places: Sequence[int], false: int, quiet: int, off: Sequence[float], cpu: float) -> list[Measurement]:
    """Everything that the run came to."""
    n, told = len(places), {"how": HOW}
    top1 = proportion("top1", sum(p == 1 for p in places), n)
    top3 = proportion("top3", sum(1 <= p <= 3 for p in places), n)
    late = Measurement("onset_off_p50_s", float(np.median(off)), len(off), unit="s") if off else None
    return [
        msgspec.structs.replace(top1, conditions=told),
        msgspec.structs.replace(top3, conditions=told),
        proportion("false_causes", false, quiet),
        Measurement("cpu_s_per_million", cpu, MILLION, cpu, cpu, "s", conditions={"baseline_rows": MILLION}),
        *([late] if late else []),
    ]


def missed(found: Sequence[Measurement]) -> list[str]:
    """The bounds that the values (not their intervals) do not keep."""
    named = {m.name: m for m in found}
    points = [
        (msgspec.structs.replace(named[r.metric], low=v, high=v), r) for r in BOUNDS for v in [named[r.metric].value]
    ]
    return [verdict.because for m, r in points if (verdict := judge(m, r)).decision != "pass"]


def main() -> None:
    """Record, cut, ask, and say how often the answer was right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not used: the rows are recorded afresh")
    parser.add_argument("--incidents", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each injection")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print every incident that was not told first")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    with tempfile.TemporaryDirectory(prefix="bench-why-") as folder:
        parts: list[Part] = record(Path(folder) / "project", 2.5 * given.seconds, given.seconds, given.seed)
    rows = Counter(part.scene.kind for part in parts)
    print(f"{sum(p.rows.height for p in parts):,} rows of real requests in {len(parts)} scenes: {dict(rows)}")
    made = list(incidents(parts, given.incidents, rng))
    places, off = judged(made, given.verbose)
    table(made, places)
    quiet = [diagnose(one) for one in controls(parts, 40, rng)]
    false = sum(bool(found.causes) for found in quiet)
    cpu = min(cpu_of_a_million(made[k], rng) for k in range(2))
    found = measurements(places, false, len(quiet), off, cpu)
    for m in found:
        print(f"  {m}")
    wrong = missed(found)
    for sentence in wrong:
        print("MISSED:", sentence)
    print(msgspec.json.encode(found).decode())
    sys.exit(1 if wrong or len(made) < given.incidents else 0)


if __name__ == "__main__":
    main()
