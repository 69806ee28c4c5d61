"""A shadow report and a list of disagreements as tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from roadworthy.core.measure import Measurement
from roadworthy.rollout.shadows.disagreements import Disagreement, Disagreements
from roadworthy.rollout.shadows.label_needs import LabelNeed
from roadworthy.rollout.shadows.shadow_report import ShadowReport

MOST_INPUTS = 6


def shadow_text(report: ShadowReport, most_slices: int = 10) -> RenderableType:
    """The report: what was mirrored, every measurement, and the slices in which the arms differ most."""
    share = report.share
    head = Text(f"{report.pairs:,} of {report.requests:,} requests were mirrored and answered")
    head.append(f" ({share.value:.1%}): what follows is of that sample.\n" if share.n else ".\n")
    if not report.pairs:
        return head
    table = Table("of all pairs", "", "value", "interval", "n", box=None, header_style="bold", pad_edge=False)
    for found in report.measured:
        table.add_row(*_row(found))
    parts: list[RenderableType] = [head, table]
    if report.slices:
        parts += [Text(""), _slices(report, most_slices)]
    return Group(*parts)


def disagreements_text(found: Disagreements) -> RenderableType:
    """What a person should look at first, and how many labels would settle which arm is better."""
    head = Text(f"{found.disagreeing:,} of {found.pairs:,} pairs disagree; these are worth a look first:\n")
    table = Table("id", "control", "candidate", "because", "inputs", box=None, header_style="bold", pad_edge=False)
    for row in found.rows:
        table.add_row(row.id, _value(row.control), _value(row.candidate), row.because, _inputs(row))
    return Group(head, table, Text(""), need_text(found.need)) if found.need is not None else Group(head, table)


def need_text(need: LabelNeed) -> Text:
    """How many labels would settle it, in a sentence or two."""
    if not math.isfinite(need.labels):
        return Text(f"No number of labels settles it: {need.because}.")
    said = (
        f"About {need.labels:,.0f} labels of disagreeing pairs settle whether the candidate errs over"
        f" {need.margin:.2%} of all requests more often, with {need.power:.0%} power and however often one looks."
    )
    return Text(
        f"{said} Labelling pairs as they come would take about {need.labels_unstratified:,.0f}. {need.because}."
    )


def _row(found: Measurement) -> tuple[str, str, str, str, str]:
    return found.name, found.where, _number(found.value, found.unit), _interval(found), f"{found.n:,}"


def _slices(report: ShadowReport, most: int) -> Table:
    table = Table("slice", "agreement", "interval", "distance", "n", "p", box=None, header_style="bold", pad_edge=False)
    for one in report.slices[:most]:
        style = "bold" if one.stands_out else ""
        cells = _number(one.agreement.value), _interval(one.agreement), _number(one.distance.value)
        table.add_row(one.where, *cells, f"{one.agreement.n:,}", f"{one.p:.2g}", style=style)
    return table


def _interval(found: Measurement) -> str:
    if not (math.isfinite(found.low) or math.isfinite(found.high)):
        return ""
    return f"[{_number(found.low)}, {_number(found.high)}]"


def _number(value: float, unit: str = "1") -> str:
    if math.isnan(value):
        return "not known"
    return f"{value:.4g}" + ("" if unit == "1" else f" {unit}")


def _inputs(row: Disagreement) -> str:
    shown = [f"{name}={_value(value)}" for name, value in row.inputs.items()]
    more = [f"and {len(shown) - MOST_INPUTS} more"] if len(shown) > MOST_INPUTS else []
    return ", ".join(_listed(shown[:MOST_INPUTS], more))


def _listed(*parts: Iterable[str]) -> list[str]:
    return [one for part in parts for one in part]


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return "-" if value is None else str(value)
