"""The results for a reader: one table a model, then the figures of the issue, then who was absent."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from roadworthy.core.measure import Measurement
from serving.models import MOST_ROWS, Model
from serving.rounds import CONNECTIONS, Results, Sample

_COLUMNS = (
    *(f"us at {n}" for n in CONNECTIONS),
    "range",
    "of ceiling",
    "p50 ms at 1",
    "p50 ms",
    "p99 ms",
    "requests/s",
    "idle %",
    "RSS",
    "PSS MiB",
    "processes",
    "start s",
)


def show(
    console: Console,
    results: Results,
    models: Sequence[Model],
    headline: Sequence[Measurement],
    abouts: Mapping[str, str],
) -> None:
    """Print everything; `abouts` says of each server by its name how it was run."""
    for model in models:
        console.print(model_table(results, model))
    for name, about in abouts.items():
        console.print(f"{name}: {about}", style="dim", highlight=False)
    for one in headline:
        peer = one.conditions.get("best_peer")
        console.print(f"{one}{f' against {peer}' if peer else ''}", highlight=False)
    for (name, contestant), why in results.absent.items():
        console.print(f"[bold]absent[/bold] {name}/{contestant}: {why}", highlight=False)


def model_table(results: Results, model: Model) -> Table:
    """One row a contestant, medians over the rounds."""
    ceiling = statistics.median(results.ceilings[model.name])
    title = (
        f"{model.name} model {model.shape}; ceiling {ceiling:.2f} CPU us a row "
        f"(raw ONNX Runtime, batches of {MOST_ROWS})\n`us` is CPU a request, of all processes; where no number of "
        f"connections is given, {CONNECTIONS[-1]}; latencies and rates are on the wall clock"
    )
    table = Table("server", *_COLUMNS, box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
        column.no_wrap = True
    for name in dict.fromkeys(contestant for known, contestant, _ in results.samples if known == model.name):
        if (model.name, name) not in results.absent:
            table.add_row(name, *_cells(results, model.name, name, ceiling))
    return table


def _cells(results: Results, model: str, name: str, ceiling: float) -> list[str]:
    one, *_, most = (results.samples[model, name, n] for n in CONNECTIONS)
    cpus = [_middle(results.samples[model, name, n], "cpu_us") for n in CONNECTIONS]
    spread = sorted(sample.cpu_us for sample in most)
    cells = [f"{cpu:,.1f}" for cpu in cpus]
    cells += [f"{spread[0]:,.1f}-{spread[-1]:,.1f}", f"{ceiling / cpus[-1]:.1%}", f"{_middle(one, 'p50_ms'):.3f}"]
    cells += [f"{_middle(most, 'p50_ms'):.2f}", f"{_middle(most, 'p99_ms'):.2f}", f"{_middle(most, 'rps'):,.0f}"]
    still = results.still.get((model, name))
    if still is None:
        return cells
    use = still.usage
    return [
        *cells, f"{still.idle_share:.1%}", f"{use.rss_mib:.0f}", f"{use.pss_mib:.0f}", str(use.processes),
        f"{still.start_seconds:.1f}",
    ]  # fmt: skip


def _middle(samples: Sequence[Sample], quantity: str) -> float:
    return float(statistics.median(getattr(sample, quantity) for sample in samples))
