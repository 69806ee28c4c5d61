"""Abstaining as a person reads it in a terminal: the figures, the weeks with a drawing, and errors by doubt."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from roadworthy.core.measure import Measurement
from roadworthy.serve.selective.abstained import Abstained
from roadworthy.serve.selective.figures import Figures

# Of fewer rows a share says next to nothing.
FEW = 20
WIDTH = 18
STYLES = {"pass": "green", "wait": "yellow", "fail": "bold red"}

_MEANINGS = {
    "flagged": "flagged, of all answers",
    "accuracy_answered": "right, of the others",
    "accuracy_flagged": "right, of the flagged",
    "accuracy": "right, of all",
    "override_rate": "overruled by a person, of the flagged",
    "override_rate_answered": "overruled by a person, of the others",
    "disagreement": "several people do not agree",
    "error_auroc": "doubt tells errors (AUROC; 0.5 not at all)",
    "error_correlation": "doubt goes with error (Spearman; 0 not)",
}


def abstained_text(found: Abstained) -> RenderableType:
    """The figures first, then the weeks, then what was wrong from the surest answers on, then what is not known."""
    overall = found.overall
    failed = f", {overall.failed:,} more failed" if overall.failed else ""
    parts: list[RenderableType] = [Text(f"Abstaining: {overall.rows:,} answers, by {found.doubt}{failed}", "bold")]
    parts.append(_figures(overall))
    if found.promise is not None:
        told = found.promise
        parts.append(
            Text.assemble((told.decision, STYLES[told.decision]), f" what the threshold promised: {told.because}")
        )
    if found.weeks and overall.flagged.value > 0:
        parts += ["", _weeks(found.weeks)]
    if found.by_doubt:
        parts += ["", _by_doubt(found.doubt, found.by_doubt)]
    if found.sources:
        told_by = ", ".join(f"{source} {n:,}" for source, n in found.sources.items())
        parts.append(Text(f"Labels of flagged rows are by: {told_by}."))
    parts += [Text(note, "yellow") for note in found.notes]
    return Group(*parts)


def _figures(overall: Figures) -> Table:
    table = Table("abstaining", "", "rows", header_style="bold")
    by_name = {one.name: one for one in overall.all}
    for name, meaning in _MEANINGS.items():
        one = by_name[name]
        # Where nothing was flagged, the others are all.
        if one.n and (overall.flagged.value > 0 or name != "accuracy_answered"):
            table.add_row(Text(meaning), told(one), f"{one.n:,}")
    return table


def _weeks(weeks: Sequence[Figures]) -> Table:
    """A row a week; the drawing sets how right the flagged rows are beside how right the others are."""
    known = [one for week in weeks for one in (week.accuracy_flagged, week.accuracy_answered) if one.n >= FEW]
    low, high = min((one.value for one in known), default=0.0), max((one.value for one in known), default=1.0)
    head = f"○ flagged ● others\nright {low:.0%} to {high:.0%}" if known else "right"
    table = Table("week from", "rows", "flagged", head, "overruled", header_style="bold")
    for week in weeks:
        drawing = line(week.accuracy_flagged, week.accuracy_answered, low, high)
        cells = (in_percent(week.flagged), drawing, in_percent(week.overrides))
        table.add_row(week.flagged.where, f"{week.rows:,}", *cells)
    return table


def _by_doubt(doubt: str, parts: Sequence[Measurement]) -> Table:
    name = "wrong" if parts[0].name == "wrong" else "mean error"
    table = Table(Column(Text(f"{doubt}, surest first")), "rows", name, "", header_style="bold")
    top = max(one.value for one in parts)
    for one in parts:
        bar = "█" * (round(WIDTH * one.value / top) if top else 0)
        table.add_row(Text(one.where.removeprefix(f"{doubt} ")), f"{one.n:,}", told(one), Text(bar, "cyan"))
    return table


def line(flagged: Measurement, answered: Measurement, low: float, high: float) -> Text:
    """Both shares on one line from `low` to `high`; one of too few rows is not drawn.

    >>> from roadworthy.core.measure import Measurement
    >>> line(Measurement("x", 0.6, 50), Measurement("x", 0.9, 50), 0.6, 0.9).plain
    '○────────────────●'
    """
    letters = [" "] * WIDTH
    drawn = [(one, sign) for one, sign in ((flagged, "○"), (answered, "●")) if one.n >= FEW]
    places = [round((one.value - low) / ((high - low) or 1.0) * (WIDTH - 1)) for one, _ in drawn]
    if places:
        letters[min(places) : max(places) + 1] = "─" * (max(places) + 1 - min(places))
    for place, (_, sign) in zip(places, drawn, strict=True):
        letters[place] = sign
    return Text("".join(letters))


def told(one: Measurement) -> Text:
    """A value with its interval, or that there are too few rows."""
    # As Text: rich would take the brackets of an interval for its markup.
    return _too_few(one) or Text(f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]")


def in_percent(one: Measurement) -> Text:
    """The same of a share, where there is little room."""
    return _too_few(one) or Text(f"{_percent(one.value)}% [{_percent(one.low)}, {_percent(one.high)}]")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.1f}"


def _too_few(one: Measurement) -> Text | None:
    if one.n >= FEW:
        return None
    return Text(f"too few ({one.n})" if one.n else "-", "dim")
