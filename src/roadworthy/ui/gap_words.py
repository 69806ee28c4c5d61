"""The gap in sentences: what was decided, what was claimed, what production gives, what costs the most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import nothing
from roadworthy.evaluate.reports.report import GapReport, Spoilt
from roadworthy.ui.words import count, interval, level, metric_name, number, signed

OUTCOME = {
    "pass": "meets what is required",
    "fail": "does not meet what is required",
    "wait": "more data is needed",
}


def find(measured: Sequence[Measurement], name: str) -> Measurement:
    """The measurement of this name; that of nothing where there is none."""
    return next((m for m in measured if m.name == name), nothing(name))


def both(m: Measurement) -> str:
    """A number and its interval."""
    return f"{number(m.value, m.unit)} {interval(m)}".strip()


def spoilt_name(s: Spoilt) -> str:
    """A corruption and its level."""
    return s.name if s.severity == 1 else f"{s.name} at level {level(s.severity)}"


def gap_summary(report: GapReport) -> str:
    """The whole gap in a few sentences.

    The requirements, what was claimed and whether it holds, what production gives, and what costs the most.
    """
    return " ".join(s[0].upper() + s[1:] + "." for s in _sentences(report) if s)


def _sentences(report: GapReport) -> Iterator[str]:
    name = metric_name(report.headline)
    yield _requirements(report.verdicts)
    for r in report.reproductions:
        because = f" ({r.cause.what})" if r.cause and r.outcome != "reproduced" else ""
        where = f" on {r.claim.where}" if r.claim.where else ""
        yield f"{metric_name(r.claim.metric)} {number(r.claim.value)}{where} was claimed and {r.outcome}{because}"
    production = find(report.production, report.headline)
    yield f"production gives {name} {both(production)}" if production.n else "production has no labels yet"
    if report.mixed and report.mixed.change.n:
        spoilt = find(report.mixed.measured, report.headline)
        yield f"with the damage that its own sample shows, {both(spoilt)}"
    yield _costliest(report)
    if report.under_load and report.under_load.verdict.decision == "fail":
        yield "the answers get worse under load"
    if report.effective and report.effective.n:
        yield f"what is left at the end, with failed requests counted as wrong, is {both(report.effective)}"


def _requirements(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "no requirement is set, so nothing was judged"
    failed = [v for v in verdicts if v.decision == "fail"]
    waiting = [v for v in verdicts if v.decision == "wait"]
    if not failed and not waiting:
        return (
            f"all of {count(len(verdicts), 'requirement')} are met" if len(verdicts) > 1 else "what is required is met"
        )
    if len(verdicts) == 1:
        return f"what is required is {'not met' if failed else 'not decided yet'} ({_required(verdicts[0])})"
    parts = [_counted(failed, "not met")] if failed else []
    parts += [_counted(waiting, "not decided yet")] if waiting else []
    return f"of {count(len(verdicts), 'requirement')} {' and '.join(parts)}"


def _counted(verdicts: Sequence[Verdict], what: str) -> str:
    names = list(dict.fromkeys(_required(v) for v in verdicts))
    shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    return f"{len(verdicts)} {'is' if len(verdicts) == 1 else 'are'} {what} ({shown})"


def _required(v: Verdict) -> str:
    where = v.evidence[0].where if v.evidence else ""
    return metric_name(v.of) + (f" on {where}" if where else "")


def _costliest(report: GapReport) -> str:
    bad = [s for s in report.spoilt if s.change.n and math.isfinite(s.change.value)]
    if not bad:
        return ""
    worst = max(bad, key=lambda s: abs(s.change.value))
    return f"the costliest of the corruptions, {spoilt_name(worst)}, moves it by {signed(worst.change.value)}"
