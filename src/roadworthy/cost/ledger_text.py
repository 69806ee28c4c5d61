"""A ledger as tables for a terminal."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from roadworthy.cost.ledger import Ledger


def ledger_text(found: Ledger) -> RenderableType:
    """The verdict, what was paid to whom for what, and what that makes of a request."""
    head = Text(f"{found.verdict.decision}: {found.verdict.because}\n", style="bold")
    paid = f"{found.rows:,} rows of {found.requests:,} requests cost {found.usd:.6g} usd"
    learning = f", of which {found.learning_usd:.6g} to learn from" if found.learning_usd else ""
    failed = f"; {found.failed:,} rows got no answer" if found.failed else ""
    retries = f"; {found.retries:,} calls were made again" if found.retries else ""
    unpriced = f"; of {found.unpriced:,} rows nobody knows the cost" if found.unpriced else ""
    parts: list[RenderableType] = [head, Text(f"{paid}{learning}{retries}{failed}{unpriced}."), Text("")]
    return Group(*parts, _lines(found), Text(""), _measured(found))


def _lines(found: Ledger) -> Table:
    table = Table("paid to", "for", "calls", "usd", "share", "seconds", box=None, header_style="bold", pad_edge=False)
    for line in found.lines:
        share = f"{line.usd / found.usd:.1%}" if found.usd else ""
        usd = f"{line.usd:.6g}" + (f" ({line.unpriced:,} unpriced)" if line.unpriced else "")
        table.add_row(line.at or "(no step)", line.purpose, f"{line.calls:,}", usd, share, f"{line.seconds:.4g}")
    return table


def _measured(found: Ledger) -> Table:
    table = Table("", "", "value", "interval", box=None, header_style="bold", pad_edge=False)
    for one in found.measured:
        # What one row costs has too many noughts to be read.
        times, unit = (1000, " usd/1k") if one.unit == "usd" else (1, "" if one.unit == "1" else f" {one.unit}")
        value = "not known" if math.isnan(one.value) else f"{times * one.value:.4g}{unit}"
        bounded = one.n and math.isfinite(one.low)
        table.add_row(one.name, one.where, value, f"[{times * one.low:.4g}, {times * one.high:.4g}]" if bounded else "")
    return table
