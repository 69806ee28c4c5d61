"""Tells an analysis in sentences, and as a page of plain text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo

from roadworthy.core.measure import Measurement
from roadworthy.observe.root_cause.exemplars import StageShare
from roadworthy.observe.root_cause.mix_rate import DimensionSplit
from roadworthy.observe.root_cause.slice_scan import Slice
from roadworthy.observe.root_cause.why import Why

# The metric as a person says it.
SAID = {
    "p50_ms": "p50",
    "p95_ms": "p95",
    "p99_ms": "p99",
    "p999_ms": "p99.9",
    "mean_ms": "mean latency",
    "error_rate": "the error rate",
    "accuracy": "accuracy",
    "usd_per_1k": "the cost of 1,000 requests",
}
MOST_LISTED = 6


def sentences(found: Why, zone: tzinfo = UTC) -> list[str]:
    """What happened, since when, where, why and what else changed, one sentence each."""
    told = [_headline(found, zone)]
    if found.verdict.decision == "pass":
        return [*told, "It did not get worse beyond what chance explains, so there is no cause to look for."]
    if found.verdict.decision == "wait":
        return [*told, "The rows do not show whether it got worse: look at a longer window, or at more of the past."]
    told += [f"It began at {clock(found.onset, zone)}."] if found.onset is not None else []
    told += _stage(found)
    told += [f"{_capital(cause.confidence)}: {cause.sentence}." for cause in found.causes[:3]]
    if not found.causes:
        told.append("No slice, mix, machine or change explains it.")
    near = [c for c in found.changes if c.score > 0.2]
    if near:
        told.append(f"Nearest change: {near[0].change.text} ({clock(near[0].change.at, zone)}).")
    return [*told, *(f"Note: {note}." for note in found.notes)]


def why_text(found: Why, zone: tzinfo = UTC) -> str:
    """The analysis as lines: sentences first, then the tables behind them."""
    lines = [*sentences(found, zone), ""]
    lines += _listed("causes", (f"{c.score:4.2f}  {c.sentence}{_and(c.evidence)}" for c in found.causes))
    lines += _listed("stages, by share of the excess", map(_stage_line, found.stages))
    lines += _listed("slices, by how much more they moved than the rest", map(_slice_line, found.slices))
    lines += _listed("mix and rate by dimension", map(_mix_line, found.mixes))
    lines += _listed("changes", (_change_line(c.change.at, c.change.text, c.score, zone) for c in found.changes))
    lines += _listed("saturation", (f"{r.name:<20} {number(r.before)} -> {number(r.now)}" for r in found.saturation))
    lines += _listed("requests to look at", (f"{e.id}  {_waterfall(e.stages)}" for e in found.exemplars))
    return "\n".join(lines).rstrip()


def clock(at: float, zone: tzinfo = UTC) -> str:
    """A moment on the clock of a zone, with its day."""
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M:%S %Z}"


def number(m: Measurement) -> str:
    """The value with its unit, shares in per cent."""
    if not m.n:
        return "–"
    if m.unit == "1" and 0 <= m.value <= 1:
        return f"{m.value:.2%}"
    if m.unit == "bytes":
        return f"{m.value / 1e9:,.1f} GB"
    return f"${m.value:,.4g}" if m.unit == "usd" else f"{m.value:,.4g}{'' if m.unit == '1' else ' ' + m.unit}"


def _headline(found: Why, zone: tzinfo) -> str:
    name = SAID.get(found.now.name, found.now.name)
    verb = {"fail": "got worse", "pass": "did not get worse", "wait": "may have got worse"}[found.verdict.decision]
    return (
        f"{_capital(name)} {verb} between {clock(found.since, zone)} and {clock(found.until, zone)}:"
        f" {number(found.now)} against {number(found.before)} in {found.baseline}"
        f" ({found.now.n:,} and {found.before.n:,} rows)."
    )


def _stage(found: Why) -> list[str]:
    top = found.stages[0] if found.stages else None
    if top is None or top.share < 0.3:
        return []
    moved = f"{number(top.before)} became {number(top.now)}"
    return [f"{top.share:.0%} of the excess lies in the stage {top.stage!r}: {moved}."]


def _listed(title: str, lines: Iterable[str]) -> list[str]:
    told = list(lines)
    more = [f"  and {len(told) - MOST_LISTED} more"] if len(told) > MOST_LISTED else []
    return [f"{title}:", *(f"  {line}" for line in told[:MOST_LISTED]), *more, ""] if told else []


def _stage_line(s: StageShare) -> str:
    return f"{s.stage:<10} {s.share:>5.0%}  {number(s.before)} -> {number(s.now)}"


def _slice_line(s: Slice) -> str:
    same = f" (the same rows: {', '.join(s.aliases)})" if s.aliases else ""
    return f"{s.where:<40} {s.share_of_excess:>5.0%} of the excess in {s.share_of_rows:.0%} of the rows{same}"


def _mix_line(s: DimensionSplit) -> str:
    follows = f", follows {s.follows}" if s.follows else ""
    return f"{s.dimension:<20} mix {s.mix:>5.0%}  rate {s.rate:>5.0%}{follows}"


def _change_line(at: float, text: str, score: float, zone: tzinfo) -> str:
    return f"{score:4.2f}  {clock(at, zone)}  {text}"


def _waterfall(stages: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {1000 * seconds:.2f} ms" for name, seconds in stages.items())


def _and(evidence: tuple[str, ...]) -> str:
    return f" ({'; '.join(evidence)})" if evidence else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
