"""Four models for the flights measured and compared in one report, twice: how long it takes, and what is not the same.

python benchmarks/gap/flights_models.py [--data PATH]

Logistic regression, gradient boosting, a small net and the net in 8 bits, each behind a server of its own while it is
under load. `compare_seconds` is one comparison without the training; it has 240 seconds on two cores. `reruns_equal`
is the share of all figures that a second run with the same seed repeats, those left out that a clock decides.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from roadworthy.cli.comparing import compared
from roadworthy.cli.flows import keep_comparison, prepare
from roadworthy.core.catalog import load
from roadworthy.core.measure import Measurement
from roadworthy.core.project import read_project
from roadworthy.core.spec import Spec
from roadworthy.core.stats import proportion
from roadworthy.evaluate.gap import Effort
from roadworthy.evaluate.reports.compare import Comparison
from roadworthy.evaluate.reports.gap_verdicts import SERVED
from roadworthy.evaluate.reports.report import GapReport

REPO = Path(__file__).resolve().parents[2]
PROJECT = REPO / ".bench" / "flights_models"
AT_MOST_SECONDS = 240.0
# Short probes of the largest rate: four models share the time, and a comparison needs no third digit.
EFFORT = Effort(search_seconds=0.3)

# What a clock decides: how fast, how much and how dear. Verdicts on these are left out too.
TIMED = frozenset({"made_at", "seconds", "load", "capacity", "search", "memory", "cold", "cost", "served"})
# What a comparison makes of these.
CHOSEN = frozenset({"decision", "meets", "cheapest", "because", "dominated"})
# Of a model that lets the rows beside a row change its answer: who shares a batch on a server, a clock decides.
CROWDED = frozenset({"under_load", "equalities", "effective", "edges"})
CROWDED_RUNGS = frozenset({"under load", "effective"})
# The largest distance between two answers to one row counts to this many digits, within which they are the same.
DIGITS = 5


class Run(Struct):
    """One comparison: the reports by model, what they amount to, the page with it all, and what it took."""

    reports: dict[str, GapReport]
    comparison: Comparison
    page: Path
    seconds: float
    cpu_seconds: float


def project(seed: int = 0) -> tuple[Spec, list[Path]]:
    """The flights in a folder of their own, with their tables and four trained models."""
    ignored = shutil.ignore_patterns(".road*", "data", "model", "__pycache__")
    shutil.copytree(REPO / "examples" / "flights", PROJECT, dirs_exist_ok=True, ignore=ignored)
    prepare(read_project(PROJECT, check_files=False))
    history = load("prepare.py:read", PROJECT)(PROJECT / "data" / "history.parquet")
    test = load("prepare.py:lab_test", PROJECT)(history.n)
    files = load("models.py:train_models", PROJECT)(history.take(~test), PROJECT / "model", seed)
    load("models.py:write_cards", PROJECT)(files, history.take(test))
    return read_project(PROJECT), files


def one_run(spec: Spec, files: Sequence[Path], effort: Effort = EFFORT) -> Run:
    """The gap report of every model, and all of them side by side with paired differences in production."""
    began, spent = time.perf_counter(), cpu_seconds()
    reports, found = compared(spec, files, effort)
    page = keep_comparison(spec, reports, found)
    return Run(reports, found, page, time.perf_counter() - began, cpu_seconds() - spent)


def cpu_seconds() -> float:
    """Of this process and of the servers that it has ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def figures(run: Run) -> dict[str, Any]:
    """Every value of a run by its place, without what a clock decides."""
    crowded = frozenset(name for name, report in run.reports.items() if depends_on_company(report))
    found = dict(_leaves(msgspec.to_builtins(run.comparison), "comparison", TIMED | CHOSEN, crowded))
    for name, report in run.reports.items():
        left_out = TIMED | CROWDED if name in crowded else TIMED
        found |= dict(_leaves({"name": name, "report": msgspec.to_builtins(report)}, name, left_out, crowded))
    return found


def depends_on_company(report: GapReport) -> bool:
    """Whether the report found that an answer depends on the rows beside it."""
    return any(one.verdict.decision == "fail" for one in report.equalities)


def _leaves(
    tree: Any, place: str, left_out: frozenset[str], crowded: frozenset[str], model: str = ""
) -> Iterator[tuple[str, Any]]:
    """What is no list and no mapping, with its place. `model` is the one whose part of the tree this is."""
    if isinstance(tree, dict):
        model = tree["name"] if tree.get("name") in crowded else model
        if tree.get("of") in SERVED or (model and tree.get("kind") in CROWDED_RUNGS):
            return
        for key, part in tree.items():
            if key not in left_out:
                yield from _leaves(part, f"{place}.{key}", left_out, crowded, model)
    elif isinstance(tree, list | tuple):
        for number, part in enumerate(tree):
            yield from _leaves(part, f"{place}.{number}", left_out, crowded, model)
    else:
        yield place, round(tree, DIGITS) if ".worst." in place and isinstance(tree, float) else tree


def reruns_equal(one: Run, other: Run) -> Measurement:
    """The share of all figures that both runs have, to the last digit; where they differ stands in the conditions."""
    first, second = figures(one), figures(other)
    places = sorted(first.keys() | second.keys())
    # As text, so that NaN is equal to NaN and 0 is not False.
    differing = [place for place in places if repr(first.get(place)) != repr(second.get(place))]
    found = proportion("reruns_equal", len(places) - len(differing), len(places))
    told = {
        "differing": differing[:20],
        "timings": [
            *sorted(TIMED),
            *(f"comparison.{name}" for name in sorted(CHOSEN)),
            f"verdicts on {', '.join(SERVED)}",
        ],
        "timings_of": {m: sorted(CROWDED) for m, report in one.reports.items() if depends_on_company(report)},
    }
    return msgspec.structs.replace(found, conditions={**found.conditions, **told})


def flights_models(seed: int = 0) -> list[Measurement]:
    """Trains, compares twice, tells a table, and gives `compare_seconds` and `reruns_equal`."""
    began = time.perf_counter()
    spec, files = project(seed)
    trained = time.perf_counter() - began
    effort = dataclasses.replace(EFFORT, seed=seed)
    runs = [one_run(spec, files, effort) for _ in range(2)]
    show(runs[0])
    longest = max(run.seconds for run in runs)
    conditions = {
        "cpu_seconds": max(run.cpu_seconds for run in runs),
        "prepare_and_train_seconds": trained,
        "page_bytes": runs[0].page.stat().st_size,
        "at_most": AT_MOST_SECONDS,
    }
    took = Measurement(
        "compare_seconds", longest, 2, min(run.seconds for run in runs), longest, "s", conditions=conditions
    )
    return [took, reruns_equal(*runs)]


def show(run: Run) -> None:
    """A row a model: what the lab says, what production gives, and what serving takes."""
    found = run.comparison
    table = Table("model", "lab", "production", "log loss", "largest rate", "usd per 1,000", "decision")
    for contender in found.contenders:
        lab = next(m for m in contender.lab if m.name == found.headline)
        cells = (contender.find(name) for name in (found.headline, "log_loss", "max_rate_rps", "usd_per_1k"))
        values = (f"{m.value:.4g}" if m.n else "" for m in (lab, *cells))
        table.add_row(contender.name, *values, contender.decision)
    Console(width=120).print(table)
    print(f"best on {found.headline}: {', '.join(found.best)}; {found.because}")
    print(f"the whole: {run.page}")


def main() -> int:
    """Measure and tell; ends with 1 where a second run differs or a comparison takes too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not needed: the flights come with a package")
    parser.add_argument("--seed", type=int, default=0)
    found = flights_models(parser.parse_args().seed)
    print(msgspec.json.encode(found).decode())
    took, equal = found
    return int(took.value > AT_MOST_SECONDS or equal.value < 1)


if __name__ == "__main__":
    sys.exit(main())
