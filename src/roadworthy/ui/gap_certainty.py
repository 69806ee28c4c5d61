"""The sections on what a model knows of itself: is it right when it is sure, and who of several models answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from roadworthy.core.calibration import Bin, Brier
from roadworthy.core.measure import Measurement
from roadworthy.core.risk_coverage import RiskCoverage
from roadworthy.core.stats import nothing
from roadworthy.evaluate.certainty.certainty import Certainty
from roadworthy.evaluate.certainty.who_answered import WhoAnswered
from roadworthy.evaluate.reports.report import GapReport
from roadworthy.ui.certainty_charts import reliability_chart, risk_chart, share_chart
from roadworthy.ui.document import Badge, Block, Cell, Charts, Fold, Note, Section, Table, section, unfolded
from roadworthy.ui.gap_words import both, find
from roadworthy.ui.words import UNKNOWN, metric_name, number, percent

ERRORS = {
    "debiased_ece": "Calibration error, freed of noise",
    "top_label_ece": "Calibration error of the likeliest class, freed of noise",
    "classwise_ece": "Calibration error, mean over classes",
}
# How much Brier's parts are worth, and which way.
PARTS = {
    "score": "Brier score (less is better)",
    "reliability": "its reliability: the price of miscalibration",
    "resolution": "its resolution: what telling rows apart is worth",
    "uncertainty": "its uncertainty: what the base rate alone would cost",
}
MOST_CLASSES = 8


def certainty(report: GapReport) -> Section | None:
    """Stated probabilities, doubt and errors, prediction sets and abstention; what is not there says why."""
    found = report.certainty
    if not found:
        return None
    blocks: list[Block | None] = [
        Charts(_charts(found), side_by_side=True, twin=_diagrams(found)),
        _numbers(found),
        _flagged(found),
        *_held(found),
        _abstained(found),
        *_unsaid(found),
    ]
    aside = (
        "On the diagonal, what is said to be so probable comes true so often. A model that knows what it does not know "
        "makes its errors where it is least sure. Intervals take rows for independent, but for Brier's parts."
    )
    return section("Does it know when it does not know", blocks, aside)


def _charts(found: Sequence[Certainty]) -> tuple[str, ...]:
    diagrams: dict[str, Sequence[Bin]] = {one.where: one.diagram for one in found if one.diagram}
    curves: dict[str, RiskCoverage] = {one.where: one.curve for one in found if one.curve is not None}
    drawn = [reliability_chart("Reliability", diagrams)] if diagrams else []
    return (*drawn, *([risk_chart("Risk and coverage", curves)] if curves else []))


def _diagrams(found: Sequence[Certainty]) -> Table | None:
    rows: list[tuple[Cell, ...]] = [
        (one.where, number(each.stated), each.rate, f"{each.rate.n:,}") for one in found for each in one.diagram
    ]
    return Table("Reliability", ("Where", "Stated", "Came true", "Rows"), rows) if rows else None


def _numbers(found: Sequence[Certainty]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, words in ERRORS.items():
        rows += _line(words, [find(one.errors, name) for one in found])
    for part, words in PARTS.items():
        rows += _line(words, [nothing(part) if one.brier is None else _part(one.brier, part) for one in found])
    rows += _of_curve("Area under risk and coverage (AURC)", found, lambda one: one.aurc)
    rows += _of_curve("of it above the best order of these errors", found, lambda one: one.excess)
    rows += _of_curve("Doubt tells wrong from right (AUROC; 0.5: not at all)", found, lambda one: one.error_auroc)
    rows += [("Rows", *(f"{one.rows:,}" for one in found))] if rows else []
    return Table("How sure, against how right", ("", *_heads(found)), rows)


def _of_curve(words: str, found: Sequence[Certainty], of: Callable[..., Measurement]) -> list[tuple[Cell, ...]]:
    return _line(words, [nothing(words) if one.curve is None else of(one.curve) for one in found])


def _line(words: str, measured: Sequence[Measurement]) -> list[tuple[Cell, ...]]:
    return [(words, *measured)] if any(m.n for m in measured) else []


def _part(found: Brier, name: str) -> Measurement:
    measured: Measurement = getattr(found, name)
    return measured


def _heads(found: Sequence[Certainty]) -> tuple[str, ...]:
    return tuple(one.where.capitalize() for one in found)


def _flagged(found: Sequence[Certainty]) -> Table:
    places = dict.fromkeys(m.where for one in found for m in one.answered)
    rows: list[tuple[Cell, ...]] = []
    for place in places:
        answers = [next((m for m in one.answered if m.where == place), nothing("accuracy_answered")) for one in found]
        share = next(m.conditions["flagged"] for one in found for m in one.answered if m.where == place)
        rows.append((f"the least sure {100 * float(share):g} %", *answers))
    every = [nothing("accuracy") if one.curve is None else _right(one.curve.risk) for one in found]
    rows = [("nobody", *every), *rows] if rows else []
    return Table("How right the rest is when some are flagged", ("Flagged", *_heads(found)), rows)


def _right(risk: Measurement) -> Measurement:
    return Measurement("accuracy", 1 - risk.value, risk.n, 1 - risk.high, 1 - risk.low)


def _held(found: Sequence[Certainty]) -> list[Block]:
    rows: list[tuple[Cell, ...]] = []
    classes: list[tuple[Cell, ...]] = []
    for one in found:
        if one.held is None:
            continue
        held = one.held
        verdict: Cell = UNKNOWN if held.verdict is None else Badge(held.verdict.decision, held.verdict.decision)
        target = "nobody said" if held.target is None else number(held.target)
        rows.append((one.where, held.coverage, target, verdict, held.size, f"{held.coverage.n:,}"))
        ordered = sorted(held.by_class, key=lambda m: m.value)
        classes += [(m.where.removeprefix("class="), one.where, m, f"{m.n:,}") for m in ordered]
    head = ("", "Held the truth", "Promised", "Verdict", _size(found), "Rows")
    by_class = Table(
        "By class, the least held first", ("Class", "Where", "Held the truth", "Rows"), classes, ("Where",)
    )
    tables = [Table("Prediction sets and intervals", head, rows, ("Promised", "Verdict"))] if rows else []
    return [*tables, *(unfolded(by_class, MOST_CLASSES) if classes else ())]


def _size(found: Sequence[Certainty]) -> str:
    sizes = {one.held.size.name for one in found if one.held is not None}
    return "Names in a set" if sizes == {"set_size"} else "Mean width"


def _abstained(found: Sequence[Certainty]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (one.where, _share(one.abstained.flagged), one.abstained.accuracy_answered, one.abstained.accuracy_flagged)
        for one in found
        if one.abstained is not None
    ]
    head = ("", "Left to others", "Right on the rest", "Right on what it left")
    return Table("Rows that the model abstains from", head, rows)


def _share(m: Measurement) -> str:
    return f"{percent(m.value)} [{percent(m.low)}, {percent(m.high)}]" if m.n else UNKNOWN


def _unsaid(found: Sequence[Certainty | WhoAnswered]) -> list[Block]:
    """Why something is not there, said once where both tables have the same reason."""
    reasons: dict[str, list[str]] = {}
    for one in found:
        for because in one.unsaid:
            reasons.setdefault(because, []).append(one.where)
    every = len(found)
    notes = [
        Note(f"Not measured: {why}." if len(where) == every else f"Not measured in the {where[0]} rows: {why}.")
        for why, where in reasons.items()
    ]
    return [*notes]


def who_answered(report: GapReport) -> Section | None:
    """Of several models that answer together: which answered how much, how right, and for how much."""
    found = report.answered_by
    if not found:
        return None
    bars: dict[str, Sequence[tuple[str, Measurement]]] = {
        one.where: [(each.name, each.share) for each in one.members] for one in found
    }
    blocks: list[Block | None] = [
        Charts((share_chart("Who answered, as a share of the rows", bars),)),
        _members(report, found),
        _together(found),
        _metrics(found),
        *_unsaid(found),
    ]
    aside = (
        "The rows of each model are those that it was given, or kept: the easy ones stay with the cheap model, so that "
        "their metrics do not say which model is better. Dollars are all that these rows cost, tries and audits too."
    )
    return section("Who answered", blocks, aside)


def _members(report: GapReport, found: Sequence[WhoAnswered]) -> Table:
    named = [report.headline, *(["accuracy"] if report.headline != "accuracy" else [])]
    shown = [name for name in named if any(find(each.measured, name).n for one in found for each in one.members)]
    rows: list[tuple[Cell, ...]] = []
    for one in found:
        for each in one.members:
            told = (find(each.measured, name) for name in shown)
            rows.append((each.name, one.where, _share(each.share), *told, _per_1k(each.usd_per_row)))
    head = ("Model", "Where", "Answered", *(f"{metric_name(name)} there" for name in shown), "US dollars per 1,000")
    return Table("By model, the cheapest first", head, rows, ("Where",))


def _together(found: Sequence[WhoAnswered]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for words, of in _TOGETHER.items():
        measured = [of(one) for one in found]
        if any(m.n for m in measured):
            rows.append((words, *(both(m) if m.unit == "usd" else _share(m) for m in measured)))
    rows.append(("Rows", *(f"{one.rows:,}" for one in found)))
    return Table("All together", ("", *(one.where.capitalize() for one in found)), rows)


_TOGETHER: dict[str, Callable[[WhoAnswered], Measurement]] = {
    "Sent on beyond the cheapest model": lambda one: one.escalation,
    "Given though nobody was sure, as no one else could be asked": lambda one: one.unconfirmed,
    "The dear model, asked by an audit, decides as the cheap one did": lambda one: one.agreement,
    "US dollars per 1,000 rows": lambda one: _per_1k(one.usd_per_row),
}


def _per_1k(m: Measurement) -> Measurement:
    """A price that can be read: that of one row has too many noughts."""
    return replace(m, value=1000 * m.value, low=1000 * m.low, high=1000 * m.high)


def _metrics(found: Sequence[WhoAnswered]) -> Fold:
    rows: list[tuple[Cell, ...]] = [
        (each.name, one.where, metric_name(m.name), m, f"{m.n:,}")
        for one in found
        for each in one.members
        for m in each.measured
    ]
    table = Table("", ("Model", "Where", "Metric", "Value", "Rows"), rows, ("Where", "Metric"))
    return Fold("Every metric on the rows of each model", (table,))
