"""Everything that must not break, broken on purpose: a table of trials, then one line of JSON Measurements.

Usage: python benchmarks/torture [--only sigterm,swaps] [--seed 7] [--share 1.0]. `--share 0.1` does a tenth of each
trial. Exit code 1 when a trial breaks its requirement.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

import trials
from given import Given

from roadworthy.core.measure import Measurement, Verdict, judge, worst

console = Console(width=150, stderr=True)


def names() -> list[str]:
    """The trials: one file each."""
    return sorted(module.name for module in pkgutil.iter_modules(trials.__path__))


def attempt(name: str, given: Given) -> tuple[list[Measurement], list[Verdict]]:
    """What a trial measured, and what follows; a trial that fell over fails."""
    trial = importlib.import_module(f"trials.{name}")
    console.print(f"[bold]{name}[/bold] (seed {given.seed}): {trial.__doc__.splitlines()[0]}")
    started = time.monotonic()
    try:
        found = trial.run(given)
    except Exception as wrong:
        console.print(traceback.format_exc(), markup=False)
        return [], [Verdict("fail", f"{name}: {type(wrong).__name__}: {wrong}")]
    by_name = {measured.name: measured for measured in found}
    verdicts = [judge(by_name[wanted.metric], wanted) for wanted in trial.WANTED]
    console.print(f"  {time.monotonic() - started:.0f} s")
    return found, verdicts


def main() -> int:
    """Run the trials one after the other, so that none disturbs another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help=f"of {', '.join(names())}")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--share", type=float, default=1.0, help="how much of each trial to do")
    parser.add_argument("--data", help="not needed here")
    asked = parser.parse_args()
    chosen = [name for name in asked.only.split(",") if name] or names()
    table = Table("trial", "verdict", "what", box=None)
    measured: list[Measurement] = []
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            given = Given(Path(folder) / name, asked.seed, asked.share)
            given.folder.mkdir()
            found, these = attempt(name, given)
            measured += found
            verdicts += these
            for verdict in these:
                table.add_row(name, verdict.decision, verdict.because)
    Console(width=150).print(table)
    print(msgspec.json.encode(measured).decode())
    return 0 if worst(verdicts) == "pass" else 1


if __name__ == "__main__":
    sys.exit(main())
