"""Forty candidates, each let in live on its own day of the flights replay: are the bad ones stopped, the good ones not?

Twenty are really other releases that are as good as stable: retrained, with other settings, blended, recalibrated,
exported again. Twenty are subtly bad: a wrong unit, the hour in UTC, stale weather, 30 ms slower, 3 % errors,
miscalibrated, worse on one carrier only. Each meets a stable release of 7 or 10 days before, behind a server of its
own, over HTTP on a compressed clock, under the stages and signals of `rollout.yaml`. The table says what each really
was (both releases asked about every flight of the next four weeks) beside what became of it.
Run `python benchmarks/releases`. The last line is a JSON list of Measurements; 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import msgspec
from candidates import Candidate, candidates
from project import REPO, project_copy
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rollouts import Ended, roll_out

from roadworthy.core.measure import Measurement, Requirement, judge
from roadworthy.core.stats import proportion


def main() -> None:
    """Print the table, and last one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not needed: the flights come with a package")
    parser.add_argument("--only", choices=["good", "bad"], help="only these candidates")
    parser.add_argument("--runs", type=int, default=20, help="how many of each (the first so many)")
    parser.add_argument("--seed", type=int, default=0, help="of the trainings")
    parser.add_argument("--at-once", type=int, default=2, help="how many rollouts run beside each other")
    parser.add_argument("--folder", type=Path, default=REPO / ".bench" / "releases", help="where the project is copied")
    args = parser.parse_args()
    chosen = choose(candidates(args.seed), args.only, args.runs)
    ended = roll_out_all(project_copy(args.folder), chosen, args.at_once)
    Console(width=200).print(drawn(ended))
    found = measurements(ended)
    print(msgspec.json.encode(found).decode())
    sys.exit(0 if as_required(ended) else 1)


def choose(every: Sequence[Candidate], only: str | None, runs: int) -> list[Candidate]:
    """The first `runs` of each sort."""
    good = [candidate for candidate in every if candidate.good][:runs]
    bad = [candidate for candidate in every if not candidate.good][:runs]
    return [*(good if only != "bad" else []), *(bad if only != "good" else [])]


def roll_out_all(root: Path, chosen: Sequence[Candidate], at_once: int) -> list[Ended]:
    """Each in a process of the pool; one thread of arithmetic each, as there are more processes than cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn")) as pool:
        begun = {pool.submit(roll_out, root, candidate): k for k, candidate in enumerate(chosen)}
        bar = track(as_completed(begun), "rollouts", len(begun), console=Console(stderr=True))
        ended = {begun[done]: done.result() for done in bar}
    return [ended[k] for k in sorted(ended)]


def drawn(ended: Sequence[Ended]) -> Table:
    """A row a candidate: what it really was, and what became of it."""
    table = Table(title="Difference of log loss, AUC and ECE to stable over the 28 days after the start")
    for name in ("", "kind", "day", "log loss", "AUC", "ECE", "carrier", "outcome", "stage", "by", "exposed", "hours"):
        table.add_column(name, justify="left" if name in ("", "kind", "outcome", "by") else "right")
    for one in ended:
        table.add_row(*_cells(one), style="" if as_it_should(one) else "bold red")
    return table


def _cells(one: Ended) -> tuple[str, ...]:
    true = one.truth
    gap = true.log_loss
    return (
        one.candidate.name,
        one.candidate.kind,
        f"{one.candidate.day:g}",
        f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]",
        f"{true.auc:+.3f}",
        f"{true.ece:+.3f}",
        "" if true.on_slice != true.on_slice else f"{true.on_slice:+.3f}",
        one.outcome,
        f"{one.stage + 1} {one.mode}",
        ", ".join(one.signals),
        f"{one.exposed:,}",
        f"{one.hours:.0f}",
    )


def as_it_should(one: Ended) -> bool:
    """A good one was promoted, a bad one taken back."""
    return one.outcome == ("promoted" if one.candidate.good else "rolled back")


def measurements(ended: Sequence[Ended]) -> list[Measurement]:
    """The two shares, and what the bad ones cost until they were stopped."""
    good = [one for one in ended if one.candidate.good]
    bad = [one for one in ended if not one.candidate.good]
    found = []
    if bad:
        found.append(proportion("bad_stopped", sum(map(as_it_should, bad)), len(bad)))
        exposed, hours = [one.exposed for one in bad], [one.hours for one in bad]
        found += spread("exposure_of_bad", exposed, "requests") + spread("hours_until_stopped", hours, "h")
    if good:
        found.append(proportion("good_promoted", sum(map(as_it_should, good)), len(good)))
        found += spread("hours_until_promoted", [one.hours for one in good if as_it_should(one)], "h")
    return found


def spread(name: str, values: Sequence[float], unit: str) -> list[Measurement]:
    """The median and the worst; both are of these candidates only, and so without an interval."""
    if not values:
        return []
    named = (("median", statistics.median(values)), ("worst", max(values)))
    return [Measurement(f"{which}_{name}", float(value), len(values), unit=unit) for which, value in named]


def as_required(ended: Sequence[Ended]) -> bool:
    """Every bad one stopped, and at most one good one of twenty."""
    shares = {found.name: found for found in measurements(ended)}
    bounds = (Requirement("bad_stopped", at_least=1.0), Requirement("good_promoted", at_least=0.95))
    judged = [judge(_exact(shares[bound.metric]), bound) for bound in bounds if bound.metric in shares]
    return all(verdict.decision == "pass" for verdict in judged)


def _exact(found: Measurement) -> Measurement:
    """The bound is on these candidates, not on all that there could be."""
    return msgspec.structs.replace(found, low=found.value, high=found.value)


if __name__ == "__main__":
    main()
