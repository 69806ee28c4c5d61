"""The sections on answers: requirements, the waterfall, claims, production, corruptions, mix, repairs, edges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import yaml

from roadworthy.core.catalog import read_plan
from roadworthy.core.measure import Decision, Measurement
from roadworthy.evaluate.reports.better import direction
from roadworthy.evaluate.reports.report import GapReport, Repaired, Spoilt
from roadworthy.evaluate.reproduction.reproduce import Reproduction
from roadworthy.ui.charts import Bar, Series, interval_chart, line_chart, waterfall_chart
from roadworthy.ui.document import (
    Badge,
    Block,
    Cell,
    Change,
    Charts,
    Code,
    Fold,
    Listing,
    Note,
    Section,
    Table,
    section,
    unfolded,
)
from roadworthy.ui.gap_words import find
from roadworthy.ui.words import UNKNOWN, level, metric_name, number, p_value, percent

MOST_BARS = 24
MOST_CURVES = 9


def requirements(report: GapReport) -> Section | None:
    rows: list[tuple[Cell, ...]] = []
    for v in report.verdicts:
        measured = v.evidence[0] if v.evidence else None
        where = measured.where if measured else ""
        rows.append(
            (metric_name(v.of), where or "everything", Badge(v.decision, v.decision), measured or "–", v.because)
        )
    head = ("Metric", "Where", "Verdict", "Measured", "Why")
    return section("What the application requires", [Table("Requirements", head, rows, ("Where", "Verdict", "Why"))])


def waterfall(report: GapReport) -> Section | None:
    name, bars = metric_name(report.headline), [Bar(r.name, r.measured, r.start, r.kind) for r in report.waterfall]
    if not bars:
        return None
    rows: list[tuple[Cell, ...]] = []
    for r in report.waterfall:
        m = r.measured
        moved = UNKNOWN if math.isnan(r.start) else number(m.value - r.start)
        moved = moved if moved.startswith(("−", UNKNOWN)) else f"+{moved}"
        rows.append((r.name, r.kind, m, moved, f"{m.n:,}" if m.n else UNKNOWN))
    table = Table("From step to step", ("Step", "Kind", name, "Change", "Rows"), rows, ("Kind",))
    drawn = waterfall_chart(f"{name}, step by step", bars, better=direction(report.headline))
    aside = (
        "Each step starts from the level where it begins: production from the lab, each corruption from production on "
        "the same rows, and what comes after from the step before it. Whiskers are 95 % intervals."
    )
    return section("From the claim to production", [Charts((drawn,), twin=table)], aside)


def claims(report: GapReport) -> Section | None:
    said: Mapping[str, Decision] = {"reproduced": "pass", "not reproduced": "fail", "not comparable": "wait"}
    rows: list[tuple[Cell, ...]] = []
    for r in report.reproductions:
        stated = number(r.claim.value) + (f" ± {r.claim.tolerance:.2g}" if r.claim.tolerance else "")
        why = r.because + (f" ({r.claim.source})" if r.claim.source else "")
        rows.append((_claim_name(r), stated, r.measured, Badge(said[r.outcome], r.outcome), why))
    table = Table("Claims", ("Claim", "Claimed", "Measured", "Outcome", "Why"), rows, ("Outcome", "Why"))
    return section("What was claimed", [table, *(b for r in report.reproductions for b in _causes(r))])


def _claim_name(r: Reproduction) -> str:
    return metric_name(r.claim.metric) + (f" on {r.claim.where}" if r.claim.where else "")


def _causes(r: Reproduction) -> list[Block]:
    blocks: list[Block] = []
    name = _claim_name(r)
    if r.cause:
        told = f"{name}, {r.cause.kind}: {r.cause.because}"
        blocks.append(Note(told, Badge("wait", "cause found")))
    rows: list[tuple[Cell, ...]] = [
        (
            c.kind,
            c.what,
            c.measured,
            Badge("pass" if c.named else "wait", "explains it" if c.named else "does not"),
            c.because,
        )
        for c in r.causes
    ]
    head = ("Kind", "Supposed", "Measured then", "Finding", "Why")
    tried = Table(f"Explanations tried for {name}", head, rows, ("Supposed", "Finding", "Why"))
    if rows:
        blocks.append(Fold(f"{len(rows)} explanations of {name} were tried", (tried,)))
    if r.unsaid:
        blocks.append(Note(f"The claim of {name} leaves open: {', '.join(r.unsaid)}."))
    return blocks


def production(report: GapReport) -> Section | None:
    heads = [metric_name(m.name) for m in report.production]
    rows: list[tuple[Cell, ...]] = [(part.where, *_row(part.measured, report)) for part in report.slices]
    foot: list[tuple[Cell, ...]] = [("all of production", *_row(report.production, report))]
    foot += [("lab", *_row(report.lab, report))] if report.lab else []
    whole = [*rows, *foot] if report.production else []
    table = Table("Slices", ("Slice", *heads, "Rows"), whole, foot=len(foot))
    few = table if len(rows) <= MOST_BARS else Fold(f"All {len(rows)} slices", (table,))
    blocks = [Charts(tuple(_slice_charts(report))), few, *_weak(report), _unlabelled(report), *_shift(report)]
    aside = "Where the production sample can be cut, it is; the dashed line is production as a whole."
    return section("Production, slice by slice", blocks, aside if report.slices else "")


def _row(measured: Sequence[Measurement], report: GapReport) -> tuple[Cell, ...]:
    return (*(find(measured, m.name) for m in report.production), f"{max((m.n for m in measured), default=0):,}")


def _slice_charts(report: GapReport) -> list[str]:
    whole = find(report.production, report.headline).value
    groups: dict[str, list[tuple[str, Measurement]]] = {}
    for part in report.slices:
        group, _, value = part.where.partition("=")
        groups.setdefault(group, []).append((value or group, find(part.measured, report.headline)))
    return [_slice_chart(metric_name(report.headline), group, rows, whole) for group, rows in groups.items()]


def _slice_chart(name: str, group: str, rows: list[tuple[str, Measurement]], whole: float) -> str:
    title = f"{name} by {group}"
    if len(rows) > MOST_BARS:
        title = f"{title}: the {MOST_BARS} of {len(rows)} slices that lie farthest from the whole"
        far = sorted((k for k, (_, m) in enumerate(rows) if m.n), key=lambda k: -abs(rows[k][1].value - whole))
        rows = [rows[k] for k in sorted(far[:MOST_BARS])]
    return interval_chart(title, rows, whole)


def _weak(report: GapReport) -> tuple[Block, ...]:
    error = "Loss" if any(w.loss.name == "loss" for w in report.weak) else "Share wrong"
    head = ("Weak slice", f"{error} there", "Elsewhere", "Rows", "p, corrected", "Parts looked at")
    rows: list[tuple[Cell, ...]] = [
        (w.where, w.loss, w.elsewhere, f"{w.loss.n:,}", p_value(w.p), f"{w.looked_at:,}") for w in report.weak
    ]
    return unfolded(Table("Slices where it errs more than elsewhere, beyond chance", head, rows))


def _unlabelled(report: GapReport) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (metric_name(m.name), m.where or "everything", m, f"{m.n:,}") for m in report.unlabelled
    ]
    title = "What the answers tell without labels"
    return Table(title, ("Measure", "Where", "Value", "Rows"), rows, ("Where",))


def _shift(report: GapReport) -> tuple[Block, ...]:
    rows: list[tuple[Cell, ...]] = []
    for m in report.shift:
        p, most = m.conditions.get("p", math.nan), m.conditions.get("most", "")
        rows.append((m.where, metric_name(m.name), m, p_value(float(p)), str(most)))
    head = ("Column", "Distance", "Value", "p, corrected", "What moved most")
    prose = ("Distance", "What moved most")
    return unfolded(Table("How far production's inputs lie from the lab's", head, rows, prose))


def corruptions(report: GapReport) -> Section | None:
    name, curves = metric_name(report.headline), _curves(report)
    head = ("Corruption", "Level", "Rows changed", name, "Change", "Broken", "Fixed", "p", "Could show")
    groups = _groups(report)
    worst = [max(group, key=lambda s: abs(s.change.value) if s.change.n else -1.0) for group in groups.values()]
    table = Table("Each corruption where it moves most", head, [_spoilt(s, report) for s in worst])
    every = Table("Every corruption at every level", head, [_spoilt(s, report) for s in report.spoilt])
    rest = curves[MOST_CURVES:]
    blocks: list[Block | None] = [
        Charts(tuple(curves[:MOST_CURVES]), side_by_side=True),
        Fold(f"{len(rest)} more curves", (Charts(tuple(rest), side_by_side=True),)) if rest else None,
        table,
        Fold("Every corruption at every level", (every,)) if len(report.spoilt) > len(worst) else None,
    ]
    aside = (
        "The same rows are asked about twice, as they came and spoilt. Broken counts answers that were right and "
        "became wrong, fixed the reverse; p is McNemar's exact test. A change smaller than what these rows could show "
        "would have gone unseen."
    )
    return section("When the inputs go wrong", blocks, aside)


def _groups(report: GapReport) -> dict[str, list[Spoilt]]:
    groups: dict[str, list[Spoilt]] = {}
    for s in report.spoilt:
        groups.setdefault(s.name, []).append(s)
    return groups


def _curves(report: GapReport) -> list[str]:
    """One small chart a corruption, all on one scale, those that move most first."""
    groups = {name: sorted(group, key=lambda s: s.severity) for name, group in _groups(report).items()}
    drawn = {
        name: (_clean(group, report), *(find(s.measured, report.headline) for s in group))
        for name, group in groups.items()
    }
    among = [m for values in drawn.values() for m in values]
    order = sorted(
        groups, key=lambda name: -max((abs(s.change.value) for s in groups[name] if s.change.n), default=0.0)
    )
    curves = []
    for name in order:
        labels = ["0", *(level(s.severity) for s in groups[name])]
        series = [Series(metric_name(report.headline), drawn[name])]
        curves.append(line_chart(name, labels, series, reference=drawn[name][0].value, among=among))
    return curves


def _clean(group: Sequence[Spoilt], report: GapReport) -> Measurement:
    """The level on the rows as they came: what was measured spoilt, less the change."""
    s = next((s for s in group if s.change.n), None)
    if s is None:
        return find((), report.headline)
    spoilt = find(s.measured, report.headline)
    value = spoilt.value - s.change.value
    return Measurement(report.headline, value, spoilt.n, value, value, spoilt.unit)


def _spoilt(s: Spoilt, report: GapReport) -> tuple[Cell, ...]:
    changed = f"{s.changed:,}" if s.changed else "0: nothing to spoil"
    detectable = number(float(s.change.conditions.get("detectable", math.nan)))
    counts = (f"{s.flips.broken:,}", f"{s.flips.fixed:,}", p_value(s.flips.p))
    return (
        s.name,
        level(s.severity),
        changed,
        find(s.measured, report.headline),
        Change(s.change),
        *counts,
        detectable,
    )


def mix(report: GapReport) -> Section | None:
    if report.mix is None:
        return None
    rows: list[tuple[Cell, ...]] = []
    for part in report.mix.parts:
        seen = _shares(part.share) if part.share else UNKNOWN
        at = level(part.severity) if part.weight else UNKNOWN
        rows.append((_plan_name(part.plan), at, percent(part.weight), seen, part.because))
    rows.append(("as in the lab", UNKNOWN, percent(report.mix.clean), UNKNOWN, "the rest"))
    head = ("Damage", "Level", "Weight", "Seen in the sample", "Why")
    blocks: list[Block | None] = [Note(report.mix.because) if report.mix.because else None]
    blocks.append(Table("The mix", head, rows, ("Why",)))
    if report.mixed:
        spoilt: list[tuple[Cell, ...]] = [("spoilt by this mix", *_spoilt(report.mixed, report)[2:])]
        columns = ("Rows changed", metric_name(report.headline), "Change", "Broken", "Fixed", "p", "Could show")
        blocks.append(Table("With this mix", ("Production", *columns), spoilt))
    aside = "How much of each damage production has is estimated from its own sample, against the lab's: not assumed."
    return section("The damage that production really has", blocks, aside)


def _shares(m: Measurement) -> str:
    known = math.isfinite(m.low) and math.isfinite(m.high) and m.low < m.high
    return percent(m.value) + (f" [{percent(m.low)}, {percent(m.high)}]" if known else "")


def _plan_name(plan: object) -> str:
    name, settings = read_plan(plan)
    told = ", ".join(f"{key} {value}" for key, value in settings.items())
    return f"{name.replace('_', ' ')} ({told})" if told else name.replace("_", " ")


def repairs(report: GapReport) -> Section | None:
    head = (
        "Repair",
        "Of",
        "Rows mended",
        "Spoilt",
        "Mended",
        "Gives back",
        "Of the loss",
        "On clean rows",
        "Broken",
        "Fixed",
    )
    rows: list[tuple[Cell, ...]] = []
    for r in report.repairs:
        of = f"{r.of} at level {level(r.severity)}" if r.of != "production" else r.of
        counts = (f"{r.flips.broken:,}", f"{r.flips.fixed:,}")
        rows.append(
            (
                r.name,
                of,
                f"{r.touched:,}",
                r.spoilt,
                r.mended,
                Change(r.change),
                _regained(r, report),
                Change(r.clean),
                *counts,
            )
        )
    table = Table("Repairs", head, rows, ("Of",))
    aside = (
        "Each repair was measured again, on the spoilt rows and on production as it came, where a harmful one shows."
    )
    return section("What repairs give back", [table, *_to_paste(report)], aside)


def _regained(r: Repaired, report: GapReport) -> str:
    """The share of the loss that the repair takes back, where there was a loss."""
    spoilt = next((s for s in report.spoilt if s.name == r.of and s.severity == r.severity), None)
    lost = -spoilt.change.value if spoilt and spoilt.change.n else math.nan
    way = direction(report.headline)
    return percent(r.change.value / lost) if r.change.n and lost * way > 0 else UNKNOWN


def _to_paste(report: GapReport) -> list[Block]:
    """The plans of the repairs that help beyond noise and harm no clean row beyond noise, to be copied."""
    way, plans = direction(report.headline), []
    for r in report.repairs:
        helps = r.change.n and (r.change.low > 0 if way > 0 else r.change.high < 0)
        harms = r.clean.n and (r.clean.high < 0 if way > 0 else r.clean.low > 0)
        if way and helps and not harms and r.plan and r.plan not in plans:
            plans.append(r.plan)
    if not plans:
        return []
    text = yaml.safe_dump({"model": {"preprocessing": plans}}, sort_keys=False, allow_unicode=True, width=100)
    return [Listing("To have what helps beyond noise, put this into roadworthy.yaml:", text, "yaml")]


def edges(report: GapReport) -> Section | None:
    if report.edges is None:
        return None
    found = report.edges
    rows: list[tuple[Cell, ...]] = [
        (m.where.replace("_", " ") or "all cases", _shares(m), f"{m.n:,}") for m in found.measured
    ]
    came = ", ".join(f"{n:,} {outcome}" for outcome, n in found.outcomes.items())
    wrong: list[tuple[Cell, ...]] = [
        (w.edge.replace("_", " "), Code(w.case), w.right, w.outcome, w.because, Code(w.excerpt) if w.excerpt else "")
        for w in found.wrong
    ]
    head = ("Edge", "Case", "Right would be", "What came", "Why", "Input")
    table = Table("What was wrong", head, wrong, ("Case", "Right would be", "What came", "Why", "Input"))
    blocks: list[Block | None] = [
        Table("Share of the cases handled rightly", ("Edge", "Handled", "Cases"), rows),
        Note(f"What came of the cases: {came}.") if came else None,
        None
        if found.repeatable
        else Note("Ordinary rows are answered differently each time.", Badge("wait", "not repeatable")),
        Fold(f"{len(wrong):,} cases were handled wrongly", (table,)) if len(wrong) > 12 else table,
    ]
    return section("At the edge", blocks, "Each case is asked alone, among ordinary rows, and beside ordinary callers.")
