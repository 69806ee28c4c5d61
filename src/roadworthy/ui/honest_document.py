"""How honest a release is about itself, as a page: reliability before and after, sets, and risk against coverage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from roadworthy.core.measure import Measurement
from roadworthy.serve.calibration.report import CalibrationReport, changes
from roadworthy.serve.conformal.coverage import CoverageReport
from roadworthy.serve.honesty import Answering, Honest, Sets
from roadworthy.ui.certainty_charts import reliability_chart, risk_chart
from roadworthy.ui.charts import Series, Spot, line_chart
from roadworthy.ui.document import Badge, Cell, Charts, Document, Listing, Note, Section, Table, Tile, section
from roadworthy.ui.page import html_of
from roadworthy.ui.words import interval, number


def honest_page(found: Honest, name: str, facts: str, served: CoverageReport | None = None) -> str:
    """What `roadworthy calibrate` found, as a page; `served` are the sets that were answered with until now."""
    return html_of(honest_document(found, name, facts, served))


def honest_document(found: Honest, name: str, facts: str, served: CoverageReport | None = None) -> Document:
    """What was fitted for a release of the deployment `name`, and what it is worth."""
    fitted = (_calibration(found.calibration), _sets(found.sets), _answering(found.answering), _plans(found))
    parts = (_served(served), *fitted)
    better = "there is something to release" if found.plans else "nothing was shown to be better"
    return Document(
        kind="what it knows of itself",
        name=name,
        badge=Badge("pass" if found.plans else "wait", better),
        lead="Each part was fitted on rows of its own, and measured on rows that it was not fitted on.",
        facts=facts,
        tiles=tuple(_tiles(found)),
        sections=tuple(part for part in parts if part is not None),
        below="Intervals hold at 95 %. This page is one file and loads nothing from anywhere.",
    )


def _tiles(found: Honest) -> Iterator[Tile]:
    if found.calibration is not None:
        before, after = found.calibration.before.errors[0], found.calibration.after.errors[0]
        yield Tile("Calibration error", number(before.value), interval(before))
        if changes(found.calibration):
            yield Tile("Calibrated", number(after.value), interval(after))
    if found.sets is not None:
        yield Tile("Sets will hold", number(found.sets.promised.value), interval(found.sets.promised))
    if found.answering is not None and found.answering.certified is not None:
        share = found.answering.certified.coverage
        yield Tile("Answered", number(share.value), interval(share))


def _served(found: CoverageReport | None) -> Section | None:
    """The sets that were answered with, one stretch of labelled rows after the other."""
    if found is None:
        return None
    ends = [datetime.fromtimestamp(span.last_at, UTC) for span in found.over_time]
    lines = [Series("coverage", tuple(span.coverage for span in found.over_time))]
    chart = line_chart("Coverage over time", [f"{end:%-d %b}" for end in ends], lines, reference=found.target)
    rows: list[tuple[Cell, ...]] = [("all", found.coverage), (found.size.name.replace("_", " "), found.size)]
    rows += [(one.where, one) for one in (*found.by_class, *found.by_segment)]
    told = f"The dashed line is the {found.target:g} that was promised. {found.verdict.because}."
    table = Table("Held the truth", ("", "Measured"), rows)
    return section("Sets that were served", [Charts((chart,), True), table], told)


def _calibration(found: CalibrationReport | None) -> Section | None:
    if found is None:
        return None
    named = {"before": found.before, "after": found.after} if changes(found) else {"stated": found.before}
    stated = tuple(named.values())
    diagrams = {name: one.diagram for name, one in named.items()}
    columns = [(*each.errors, each.log_loss, *_parts(each.brier)) for each in stated]
    rows: list[tuple[Cell, ...]] = [(each[0].name.replace("_", " "), *each) for each in zip(*columns, strict=True)]
    head = ("", "Before", "After") if changes(found) else ("", "As it is")
    tried: list[tuple[Cell, ...]] = [(one.name, one.log_loss, one.gain, one.because) for one in found.choice.tried]
    return section(
        "Calibration",
        [
            Charts((reliability_chart("Reliability", diagrams),), True),
            Table("How far off", head, rows),
            Table("Ways to calibrate", ("Method", "Log loss", "Gain", "Why"), tried, ("Method", "Why")),
        ],
        f"Taken: {found.choice.taken}. On the diagonal, what is said to be so probable comes true so often.",
    )


def _parts(brier: object) -> Iterator[Measurement]:
    found = msgspec.structs.asdict(brier)  # type: ignore[arg-type]
    for name, measured in found.items():
        yield msgspec.structs.replace(measured, name=f"Brier: {name.replace('_', ' ')}")


def _sets(found: Sets | None) -> Section | None:
    if found is None:
        return None
    rows: list[tuple[Cell, ...]] = [
        ("coverage to expect", found.promised),
        (found.size.name.replace("_", " "), found.size),
    ]
    said = f"Fitted on {found.rows:,} rows of their own; the range is what these very rows leave open."
    return section("Prediction sets", [Table("", ("", "Measured"), rows)], said)


def _answering(found: Answering | None) -> Section | None:
    if found is None:
        return None
    certified = found.certified
    spots = []
    if certified is not None:
        error = Measurement("risk", certified.errors / certified.answered, certified.answered, 0.0, certified.risk)
        spots = [Spot("chosen", certified.coverage, error, 2)]
        told = (
            f"Errors are at most {certified.risk:g} of what is answered, with confidence {1 - certified.delta:g}, for "
            f"rows that come as these did: {certified.errors} in {certified.answered:,} answered of {certified.rows:,}."
        )
    else:
        told = f"No threshold: {found.refused}."
    chart = risk_chart("Risk and coverage", {"errors": found.curve}, spots)
    return section("When to leave a row to others", [Note(told), Charts((chart,), True)])


def _plans(found: Honest) -> Section | None:
    lines = "\n".join(msgspec.json.encode(plan).decode() for plan in found.plans)
    return section("The wrappers, outermost first", [Listing("", lines, "json")]) if found.plans else None
