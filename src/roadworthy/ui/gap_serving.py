"""The sections on serving: load, the largest rate, quality under load, equalities, start, memory, cost, failures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.evaluate.load_test.load import LoadRun
from roadworthy.evaluate.reports.report import Failure, GapReport
from roadworthy.ui.charts import Series, Spot, line_chart, scatter_chart, stages_chart
from roadworthy.ui.document import (
    MOST_ROWS,
    Badge,
    Block,
    Cell,
    Change,
    Charts,
    Code,
    Fold,
    Note,
    Section,
    Table,
    section,
)
from roadworthy.ui.gap_words import both
from roadworthy.ui.words import count, metric_name, number, percent

SCENARIOS = {
    "server": "requests come on a schedule of their own (open loop), and latency counts from when each was due",
    "closed": "each caller waits for its answer before it asks again (closed loop): a stall holds requests back unseen",
    "single_stream": "one request after the other (SingleStream)",
    "multi_stream": "several samples at a time, one after the other (MultiStream)",
    "offline": "everything is asked at once (Offline)",
}


def load(report: GapReport) -> Section | None:
    run = report.load
    if run is None:
        return None
    rows: list[tuple[Cell, ...]] = [(metric_name(m.name), m, f"{m.n:,}") for m in run.measured]
    title = "Measured" if run.valid else "Measured, but not valid: these numbers describe the generator, not the model"
    table = Table(title, ("Measure", "Value", "Requests"), rows, faded=not run.valid)
    gates: list[tuple[Cell, ...]] = [
        (check.of.replace("_", " "), Badge(check.decision, check.decision), check.because) for check in run.checks
    ]
    checked = Table("Validity", ("Gate", "Verdict", "Why"), gates, ("Verdict", "Why"))
    blocks: list[Block | None] = [
        Note(run.because, Badge("pass", "valid run") if run.valid else Badge("fail", "INVALID run")),
        *(Note(warning, Badge("wait", "warning")) for warning in run.warnings),
        (Fold("The gates of validity", (checked,)) if run.valid else checked) if gates else None,
        table,
        _capacity(report),
    ]
    return section("Under load", blocks, _how(run))


def _how(run: LoadRun) -> str:
    scenario = SCENARIOS.get(run.scenario.replace("-", "_").lower(), run.scenario)
    plan = "" if run.arrivals is None else f", arrivals: {_plain(run.arrivals)}"
    rate = f"{number(run.rate, 'rps')} for " if run.rate else ""
    return f"{rate}{run.seconds:g} s{plan}. {scenario[:1].upper()}{scenario[1:]}. Failures count as infinite latency."


def _plain(plan: Any) -> str:
    if isinstance(plan, Mapping):
        return "; ".join(f"{name} {_plain(settings)}".strip() for name, settings in plan.items())
    return str(plan)


def _capacity(report: GapReport) -> Note | None:
    if not report.capacity.n:
        return None
    return Note(f"With as many callers as it takes, each asking again when it is answered: {both(report.capacity)}.")


def search(report: GapReport) -> Section | None:
    found = report.search
    if found is None:
        return None
    said: Mapping[str, Any] = {"meets": "pass", "misses": "fail", "unknown": "wait", "gone": "fail"}
    rows: list[tuple[Cell, ...]] = []
    for p in sorted(found.probes, key=lambda p: p.rate):
        within = "; ".join(f"{m.name} {_share(m)}" for m in p.attained) or "–"
        outcome = Badge(said[p.outcome], p.outcome)
        rows.append((number(p.rate, "rps"), outcome, number(p.served, "rps"), within, f"{p.seconds:.3g} s", p.because))
    head = ("Rate", "Outcome", "Served", "Within the requirement", "Lasted", "Why")
    knee = f" Throughput stops to follow at {both(found.knee)}." if found.knee.n else ""
    decision = Badge("pass", both(found.max_rate)) if found.max_rate.n else Badge("wait", "none found")
    blocks: list[Block | None] = [
        Note(f"What stood in the way of more: {found.because}.{knee}", decision),
        Charts(tuple(_probes(report))),
        Fold(
            f"{count(len(rows), 'probe')}", (Table("Every rate tried", head, rows, head[1:2] + head[3:4] + head[5:]),)
        ),
    ]
    return section(
        "The largest rate", blocks, "Rates were tried until the largest was found at which every requirement is met."
    )


def _probes(report: GapReport) -> list[str]:
    probes = report.search.probes if report.search else ()
    names = list(dict.fromkeys(m.name for p in probes for m in p.attained))
    return [_probe_chart(report, name) for name in names]


def _probe_chart(report: GapReport, name: str) -> str:
    colours = {"meets": 1, "misses": 2, "gone": 2, "unknown": 3}
    spots = []
    for p in report.search.probes if report.search else ():
        for m in p.attained:
            if m.name == name:
                at = Measurement("rate", p.rate, 1, p.rate, p.rate, "rps")
                spots.append(Spot("", at, m, colours[p.outcome], faint=p.outcome == "unknown"))
    note = f"{len(spots)} rates tried; a dot meets every requirement, a square misses one, a hollow mark is unknown"
    axes = ("requests a second (dot: meets, square: misses, hollow: unknown)", "share within")
    return scatter_chart(f"Share of requests within {name}, by rate", axes, spots, note=note)


def _share(m: Measurement) -> str:
    bounded = math.isfinite(m.low) and math.isfinite(m.high)
    return percent(m.value) + (f" [{percent(m.low)}, {percent(m.high)}]" if bounded else "")


def quality(report: GapReport) -> Section | None:
    found = report.under_load
    if found is None:
        return None
    name = metric_name(found.metric)
    rows: list[tuple[Cell, ...]] = []
    for at in found.levels:
        verdict = Badge(at.verdict.decision, at.verdict.decision)
        moved = (Change(at.change), _share(at.differing), _share(at.beyond_noise))
        rows.append(
            (f"{at.in_flight}", f"{at.peak}", at.value, *moved, _share(at.error_rate), verdict, at.verdict.because)
        )
    head = ("In flight", "At most really", name, "Change", "Differing", "Beyond noise", "Failed", "Verdict", "Why")
    labels, values = [f"{at.in_flight}" for at in found.levels], tuple(at.value for at in found.levels)
    drawn = line_chart(f"{name} by requests in flight", labels, [Series(name, values)], reference=found.alone.value)
    faults = [str(fault) for at in found.levels for fault in at.faults]
    blocks: list[Block | None] = [
        _verdict(found.verdict),
        Charts((drawn,), side_by_side=True),
        Table("By concurrency", head, rows, ("Verdict", "Why")),
        _list("Answers under a wrong id", faults),
    ]
    aside = (
        f"The same {count(found.rows, 'row')}, asked one at a time and in a crowd, each answer matched by the id of "
        "its request. A row without an answer counts as wrong."
    )
    return section("Quality under load", blocks, aside)


def _verdict(verdict: Verdict) -> Note:
    return Note(verdict.because, Badge(verdict.decision, verdict.decision))


def _list(title: str, lines: list[str]) -> Block | None:
    return Fold(title, tuple(map(Note, lines[:MOST_ROWS]))) if lines else None


def equalities(report: GapReport) -> Section | None:
    rows: list[tuple[Cell, ...]] = []
    shown: list[tuple[Cell, ...]] = []
    for e in report.equalities:
        verdict = Badge(e.verdict.decision, e.verdict.decision)
        worst = f"at least {number(e.worst.value)}" if e.worst.n else "–"
        shares = (_share(e.differing), _share(e.beyond_noise), worst, _share(e.error_rate))
        rows.append((e.name, verdict, *shares, e.verdict.because))
        shown += [(e.name, f"{x.row:,}", Code(x.one), Code(x.other)) for x in e.examples]
    head = ("Asked in two ways", "Verdict", "Differing", "Beyond noise", "Worst", "Failed", "Why")
    table = Table("Equalities", head, rows, ("Verdict", "Why"))
    pairs = Table(
        "Rows answered in two ways", ("Asked", "Row", "One way", "The other"), shown, ("One way", "The other")
    )
    examples = Fold(f"{count(len(shown), 'row')} answered in two ways", (pairs,)) if shown else None
    return section("What must not matter", [table, examples], "One thing is asked in two ways that must not matter.")


def cold(report: GapReport) -> Section | None:
    found = report.cold
    if found is None:
        return None
    stages = [(m.where or m.name, m) for m in found.stages if m.n]
    good = sum(not start.because for start in found.starts)
    rows: list[tuple[Cell, ...]] = [(name, m, f"{m.n}") for name, m in stages]
    rows.append(("ready", found.ready, f"{found.ready.n}"))
    bad = [start.because for start in found.starts if start.because]
    told = f"Ready after {both(found.ready)}" if found.ready.n else "Never ready"
    told += f"; an answer then takes {both(found.level)}." if found.level.n else "."
    blocks: list[Block | None] = [
        Note(told),
        Charts((stages_chart("A cold start, stage by stage", stages),) if stages else ()),
        Fold("The stages as a table", (Table("Stages", ("Stage", "Median", "Starts"), rows),)),
        _list(f"{count(len(bad), 'start')} went wrong", bad),
    ]
    return section(
        "Cold start",
        blocks,
        f"{good} of {len(found.starts)} starts from nothing went well: {' '.join(found.command)[:200]}",
    )


def memory(report: GapReport) -> Section | None:
    if report.memory is None:
        return None
    m = report.memory
    rows: list[tuple[Cell, ...]] = [(metric_name(x.name), x) for x in (m.idle, m.peak, m.slope, m.per_1k) if x.n]
    title = "Resident memory of the process and those that it started"
    blocks: list[Block | None] = [_verdict(m.verdict), Table(title, ("Measure", "Value"), rows)]
    return section("Memory", [*blocks, Note(m.because) if m.because and m.because != m.verdict.because else None])


def cost(report: GapReport) -> Section | None:
    if report.cost is None:
        return None
    told = [f"{key.replace('_', ' ')} {_said(value)}" for key, value in report.cost.conditions.items()]
    note = Note(f"Per 1,000 requests: {both(report.cost)}." + (f" With {', '.join(told)}." if told else ""))
    aside = "What is answered too late was paid for and is worth nothing: only good answers are counted."
    if "models" in report.cost.conditions:
        aside = "Each answer tells what the models that were asked for it cost, in vain or not."
    return section("Cost", [note], aside)


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def failures(report: GapReport) -> Section | None:
    loaded = report.load.failures.items() if report.load else ()
    every = [*report.failures, *(Failure("load", because, rows) for because, rows in loaded)]
    rows: list[tuple[Cell, ...]] = [(f.where, f.because, f"{f.rows:,}") for f in every]
    return section("What got no answer", [Table("Failures", ("Where", "Why", "Rows"), rows, ("Why",))])


def how(report: GapReport) -> Section | None:
    spent = [(step, Measurement("seconds", s, 1, s, s, "s")) for step, s in report.seconds.items()]
    settings: list[tuple[Cell, ...]] = [(key.replace("_", " "), _setting(v)) for key, v in report.settings.items()]
    machine: list[tuple[Cell, ...]] = [(key, value) for key, value in report.environment.items()]
    head = ("What", "Value")
    blocks: list[Block | None] = [
        Charts((stages_chart("Time taken by each step", spent),) if spent else ()),
        Fold("Settings, seeds and data", (Table("Settings", head, settings, ("Value",)),)),
        Fold("Machine and packages", (Table("Environment", head, machine, ("Value",)),)),
    ]
    return section("How it was measured", blocks)


def _setting(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_setting(v)}" for key, v in value.items() if v not in ("", None))
    if isinstance(value, list | tuple):
        return ", ".join(_setting(v) for v in value)
    return _said(value)
