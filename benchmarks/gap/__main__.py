"""What the gap report is judged by: planted faults, real data, its load engine, four models, and peers.

python benchmarks/gap --data ../shared/data [--only banking77,adult,flights]

Every figure with the bound that it has to meet; the last line is a JSON list of Measurements. A part whose recorded
data or whose peer cannot be had is left out: its figures have no value (n=0) and say why. Peers are installed into
`.bench/` at their first run. Ends with 1 where a part broke; a bound that is missed shows in the table only.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

HERE = Path(__file__).resolve().parent
# So that `gap` is a package, whose names (`tokenizers`, `load`) cannot hide anybody else's.
sys.path[0] = str(HERE.parent)

import msgspec  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from roadworthy.core.measure import Measurement, Requirement, judge  # noqa: E402
from roadworthy.core.stats import nothing  # noqa: E402

RUNS = 40


@dataclass(frozen=True)
class Part:
    """Some figures: how they are measured, which data this `needs`, and the names that a reader counts on (`gives`)."""

    about: str
    measure: Callable[[Path], list[Measurement]]
    needs: str = ""
    gives: tuple[str, ...] = ()


def banking77(data: Path) -> list[Measurement]:
    from gap import banking77

    return banking77.banking77(data)


def adult(data: Path) -> list[Measurement]:
    from gap import adult

    found = adult.as_delivered(data.parent)
    for fault, before, after in adult.faults(data.parent):
        found += [before, after] if fault.repairs else [before]
    return found


def engine(data: Path) -> list[Measurement]:
    from gap import load

    opened = load.open_loop_p99_over_stall()
    flagged = Measurement("closed_loop_flagged", float(opened[0].conditions["closed_loop_flagged"]), 1)
    checks = (load.mdl_capacity_error, load.early_stopping_table, load.overload_is_invalid, load.generator_rate)
    return [*opened, flagged, *(one for check in checks for one in check())]


def trace(data: Path) -> list[Measurement]:
    from gap import load

    return load.trace_cv(data)


def loadgen(data: Path) -> list[Measurement]:
    from gap import load

    return load.against_loadgen()


def tokenizers(data: Path) -> list[Measurement]:
    from gap import tokenizers

    return tokenizers.measure(data if data.is_dir() else None)


def under_load(data: Path) -> list[Measurement]:
    from gap import under_load

    simulated = [*under_load.quality_under_load(RUNS), *under_load.leaks(RUNS)]
    return [*simulated, *under_load.over_http(), *under_load.cold_start_error_ms()]


def lm_eval(data: Path) -> list[Measurement]:
    from gap import lm_eval_task

    return lm_eval_task.measure()


def flights(data: Path) -> list[Measurement]:
    from gap import flights_models

    return flights_models.flights_models()


PARTS = {
    "banking77": Part(
        "two text models under a plausible mix of damage",
        banking77,
        "text/banking77",
        ("banking77_word_drop", "banking77_char_drop"),
    ),
    "adult": Part(
        "census income as its files arrive, and repaired",
        adult,
        "tabular/adult-test.csv",
        ("adult_delivered_auc", "adult_repaired_auc"),
    ),
    "load": Part(
        "the load engine against stalls, a queue and overload",
        engine,
        gives=("open_loop_p99_over_stall", "mdl_capacity_error"),
    ),
    "trace": Part(
        "a recorded trace replayed",
        trace,
        "traces/AzureLLMInferenceTrace_code_2023.csv",
        ("trace_cv", "trace_peak_over_mean"),
    ),
    "loadgen": Part("percentiles against MLPerf LoadGen's", loadgen),
    "tokenizers": Part("naughty strings there and back through two tokenizers", tokenizers),
    "under_load": Part("servers and memories with a fault planted, and none", under_load),
    "lm_eval": Part("an imported task scored as lm-eval scores it", lm_eval),
    "flights": Part("four models in one report, twice", flights, gives=("compare_seconds", "reruns_equal")),
}


@dataclass(frozen=True)
class Bound:
    """What the issue wants of a figure, where "" means wherever it was measured; `where` is a part of its own."""

    metric: str
    least: float | None = None
    most: float | None = None
    where: str = ""

    def of(self, found: Measurement) -> bool:
        """Whether the bound is about this figure."""
        return found.name == self.metric and self.where in found.where

    def judged(self, found: Measurement) -> str:
        """`pass`, `fail`, or `wait` where nothing was measured: the issue's bounds are on the value itself."""
        value = msgspec.structs.replace(found, low=found.value, high=found.value)
        return judge(value, Requirement(found.name, self.least, self.most, found.where, found.unit)).decision

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.least:g}"
        least = [] if self.least is None else [f"at least {self.least:g}"]
        return ", ".join(least if self.most is None else [*least, f"at most {self.most:g}"])


BOUNDS = (
    Bound("banking77_word_drop", -15.6, -9.6),
    Bound("banking77_char_drop", -12.0, -6.0),
    *(Bound(f"banking77_{model}_change", least=0.0, where="repaired") for model in ("word", "char")),
    Bound("adult_delivered_auc", 0.8645, 0.8745),
    Bound("adult_repaired_auc", 0.9215, 0.9315),
    Bound("open_loop_p99_over_stall", least=0.9),
    Bound("closed_loop_flagged", 1, 1),
    Bound("mdl_capacity_error", most=0.05),
    Bound("least_requests_p99", 459, 459, "0 discarded"),
    Bound("least_requests_p99", 662, 662, "1 discarded"),
    Bound("least_requests_p90", 64, 64, "1 discarded"),
    Bound("overload_is_invalid", 1, 1),
    Bound("trace_cv", 0.98 * 13.15, 1.02 * 13.15),
    Bound("trace_peak_over_mean", 0.98 * 26, 1.02 * 26),
    *(Bound(f"p{share}_over_loadgen", 0.95, 1.05) for share in (50, 90, 99)),
    Bound("degrading_server_caught", least=0.95),
    Bound("shuffling_server_accused", most=0.05),
    Bound("lm_eval_score_distance", most=1e-12),
    Bound("lm_eval_stderr_distance", most=1e-12),
    Bound("lm_eval_same_prompts", 1, 1),
    Bound("compare_seconds", most=240),
    Bound("reruns_equal", 1, 1),
)


def options() -> argparse.Namespace:
    """What to measure, and where the recorded data are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the recorded data (../shared/data)")
    parser.add_argument("--only", default=",".join(PARTS), help="which parts, separated by commas")
    asked = parser.parse_args()
    asked.only = [name for name in asked.only.split(",") if name]
    unknown = [name for name in asked.only if name not in PARTS]
    if unknown:
        parser.error(f"no part is named {', '.join(map(repr, unknown))}; known are {', '.join(PARTS)}")
    return asked


def measured(part: Part, data: Path) -> tuple[list[Measurement], bool]:
    """The figures of a part, and whether it broke; those of a part that was left out or broke say why."""
    place = data / part.needs if part.needs else data
    if part.needs and not place.exists():
        return _without(part, f"there is no {place}: give the folder of the recorded data as --data"), False
    try:
        return part.measure(place), False
    # The other parts are worth having without this one, whatever it was that broke; lm_eval's raises SystemExit.
    except (Exception, SystemExit) as wrong:
        if isinstance(wrong, CalledProcessError) and "pip" in wrong.cmd:
            return _without(part, f"its peer cannot be installed: {wrong}"), False
        traceback.print_exc()
        return _without(part, f"{type(wrong).__name__}: {wrong}"), True


def _without(part: Part, because: str) -> list[Measurement]:
    print(f"{part.about}: left out, {because}", file=sys.stderr)
    return [msgspec.structs.replace(nothing(name), conditions={"because": because}) for name in part.gives]


def rows(found: Sequence[Measurement]) -> Iterator[tuple[str, ...]]:
    """Every figure, with the bound that it has to meet and whether it does."""
    for one in found:
        bound = next((bound for bound in BOUNDS if bound.of(one)), None)
        said = {"pass": "met", "fail": "[bold]MISSED[/bold]", "wait": "not measured"}
        verdict = (str(bound), said[bound.judged(one)]) if bound else ("", "")
        yield one.name, one.where, f"{one.value:.5g}" if one.n else "", "" if one.unit == "1" else one.unit, *verdict


def show(found: Sequence[Measurement]) -> None:
    """The table; figures with a bound come first."""
    table = Table("figure", "of", "value", "unit", "has to be", "")
    for row in sorted(rows(found), key=lambda row: not row[4]):
        table.add_row(*row)
    console = Console()
    console.width = max(console.width, 140)
    console.print(table)


def plain(value: Any) -> Any:
    """A number of numpy's as one of Python's."""
    return value.item()


def main() -> int:
    """Measure part by part, and tell."""
    asked = options()
    found: list[Measurement] = []
    broken = []
    for name in asked.only:
        began = time.perf_counter()
        figures, broke = measured(PARTS[name], asked.data)
        found += figures
        broken += [name] if broke else []
        print(f"{name}: {PARTS[name].about}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    show(found)
    print(msgspec.json.encode(found, enc_hook=plain).decode())
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
