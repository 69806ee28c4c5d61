"""What a person reads at the end of a load test: the numbers with their intervals, and what to make of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from roadworthy.cli.loading import Loaded
from roadworthy.core.measure import Measurement
from roadworthy.evaluate.load_test.load import LoadRun
from roadworthy.evaluate.load_test.search import Search

WORDS = {"pass": ("PASS", "bold green"), "fail": ("FAIL", "bold red"), "wait": ("NOT YET", "bold yellow")}
MOST_REASONS = 5
# `ttft_p99_from_send_ms`: of what, which, since when, in what. The name of a scenario's own number is left alone.
PERCENTILE = re.compile(r"(?:(?!single_stream|multi_stream|dispatch_lag)(\w+)_)?p(\d+)(_from_send)?_(ms)")


def told(loaded: Loaded) -> RenderableType:
    """The verdict first, then what it rests on."""
    word, style = WORDS[loaded.decision]
    if loaded.run is not None and not loaded.run.valid and loaded.decision == "wait":
        word, style = "INVALID", "bold yellow"
    parts: list[RenderableType] = [Text.assemble((word, style), "  ", loaded.url)]
    if loaded.run is not None:
        parts += _run(loaded.run, loaded.streams)
    if loaded.search is not None:
        parts += _search(loaded.search)
    parts += [Text(f"  {verdict.decision}: {verdict.because}") for verdict in loaded.verdicts]
    return Group(*parts)


def _run(run: LoadRun, streams: Sequence[Measurement]) -> Iterable[RenderableType]:
    how = f"{run.rate:.4g} requests a second" if run.rate else run.scenario.replace("_", " ")
    yield Text(f"{how}, {run.seconds:.4g} s: {run.because}")
    measured = (*run.measured, *streams)
    yield _percentiles(measured)
    yield _others(measured)
    failures = list(run.failures.items())
    yield from (Text(f"  {n:,} times {reason}") for reason, n in failures[:MOST_REASONS])
    if len(failures) > MOST_REASONS:
        yield Text(f"  and {len(failures) - MOST_REASONS} other reasons")
    yield from (Text(f"  warning: {warning}", style="yellow") for warning in run.warnings)
    since = "the scheduled time" if run.rate else "the sending, as nothing was scheduled"
    yield Text(f"Latency runs from {since}; a failed request is infinitely late. Brackets: 95 % intervals.", "dim")


def _search(search: Search) -> Iterable[RenderableType]:
    table = Table("requests/s", "served/s", "", "because", box=None, header_style="bold")
    for probe in sorted(search.probes, key=lambda probe: probe.rate):
        table.add_row(f"{probe.rate:.4g}", f"{probe.served:.4g}", probe.outcome, Text(probe.because))
    yield table
    yield Text(f"largest rate within the SLO: {search.max_rate}; {search.because}")
    if search.knee.n:
        yield Text(f"the throughput bends at {search.knee}")


def _percentiles(measured: Sequence[Measurement]) -> Table:
    """A row for each thing that has percentiles, a column for each of them."""
    rows: dict[str, dict[str, Measurement]] = {}
    for found in measured:
        if (named := PERCENTILE.fullmatch(found.name)) and found.n:
            what, share, since, unit = named.groups()
            rows.setdefault(f"{what or 'latency'}{since or ''} ({unit})".replace("_", " "), {})[share] = found
    known = {share for row in rows.values() for share in row}
    # Three columns fill a terminal of 80 characters; the others are in the JSON.
    shares = [share for share in ("50", "95", "99", "999") if share in known][:3]
    table = Table("", *(f"p{share}" for share in shares), "n", box=None, header_style="bold")
    for column in table.columns:
        column.no_wrap, column.justify = True, "right" if column.header else "left"
    for what, row in rows.items():
        # As Text: rich would take the brackets of an interval for its markup.
        cells = (
            Text(f"{_number(row[share].value)}\n{_interval(row[share])}" if share in row else "") for share in shares
        )
        table.add_row(what, *cells, f"{next(iter(row.values())).n:,}")
    return table


def _others(measured: Sequence[Measurement]) -> Table:
    table = Table("", "value", "interval", "n", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for found in measured:
        if found.n and not PERCENTILE.fullmatch(found.name):
            unit = "" if found.unit == "1" else f" {found.unit}"
            table.add_row(found.name, f"{_number(found.value)}{unit}", Text(_interval(found)), f"{found.n:,}")
    return table


def _number(value: float) -> str:
    return "infinite" if math.isinf(value) else f"{value:.4g}"


def _interval(found: Measurement) -> str:
    if math.isinf(found.low) and found.low < 0:
        return ""
    low, high = ("open" if math.isinf(bound) else f"{bound:.4g}" for bound in (found.low, found.high))
    return f"[{low}, {high}]"
