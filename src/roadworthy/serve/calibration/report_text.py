"""A calibration report as a person reads it in a terminal."""

from __future__ import annotations

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from roadworthy.core.calibration import Bin, Brier
from roadworthy.core.measure import Measurement
from roadworthy.serve.calibration.choosing import Choice
from roadworthy.serve.calibration.report import CalibrationReport, changes

NAMES = {
    "debiased_ece": "calibration error (debiased)",
    "rms_calibration_error": "root mean square of it",
    "top_label_ece": "error of the likeliest class",
    "classwise_ece": "error, mean over classes",
}
PARTS = {
    "score": "Brier score",
    "reliability": "  + reliability (miscalibration)",
    "resolution": "  - resolution (telling rows apart)",
    "uncertainty": "  + uncertainty (base rate)",
    "within_variance": "  + spread within bins",
    "within_covariance": "  - skill within bins",
}


def report_text(found: CalibrationReport) -> RenderableType:
    """What was taken, before and after, the methods tried, the diagrams, and the plan."""
    taken = found.choice.taken
    head = f"{found.n:,} labelled rows; every number of `after` is of rows that were not fitted on"
    folds = ", ".join(dict.fromkeys(found.by_fold))
    told = f"Taken: {taken}. In the {len(found.by_fold)} folds: {folds}."
    parts: list[RenderableType] = [Text(head, "bold"), Text(told), "", _numbers(found), "", _tried(found.choice)]
    parts += ["", _diagram("stated before" if changes(found) else "stated", found.before.diagram)]
    if changes(found):
        parts += ["", _diagram("stated after", found.after.diagram)]
    plan = msgspec.json.encode(found.choice.plan).decode() if changes(found) else "none: leave the answers as they are"
    return Group(*parts, "", Text(f"plan: {plan}"))


def _numbers(found: CalibrationReport) -> Table:
    table = Table("", "before", "after", header_style="bold")
    for one, other in zip(found.before.errors, found.after.errors, strict=True):
        table.add_row(NAMES[one.name], _cell(one), _cell(other))
    table.add_row("log loss (nats)", _cell(found.before.log_loss), _cell(found.after.log_loss))
    for name in Brier.__struct_fields__:
        table.add_row(PARTS[name], _cell(getattr(found.before.brier, name)), _cell(getattr(found.after.brier, name)))
    for one in found.gains:
        table.add_row(f"gain in {one.name.removesuffix('_gain').replace('_', ' ')}", "", _cell(one))
    return table


def _tried(choice: Choice) -> Table:
    table = Table("method", "log loss", "Brier", "gain in log loss", "", header_style="bold")
    for one in choice.tried:
        style = "bold" if one.name == choice.taken else ""
        cells = (_cell(one.log_loss), _cell(one.brier), _cell(one.gain), Text(one.because))
        table.add_row(Text(one.name, style), *cells)
    return table


def _diagram(title: str, bins: tuple[Bin, ...]) -> Table:
    table = Table(title, "rows", "came true", "", header_style="bold")
    for each in bins:
        off = "" if each.rate.low <= each.stated <= each.rate.high else "off"
        table.add_row(f"{each.stated:.3f}", f"{each.rate.n:,}", _cell(each.rate), Text(off, "yellow"))
    return table


def _cell(m: Measurement) -> Text:
    # As Text: rich would take the brackets of an interval for its markup.
    return Text(f"{m.value:.4f} [{m.low:.4f}, {m.high:.4f}]") if m.n else Text("-")
