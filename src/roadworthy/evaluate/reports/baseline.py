"""Baseline sets a gap report against an earlier one, and says what became better or worse by more than noise."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Decision, Measurement, Verdict
from roadworthy.evaluate.reports.better import Noise, best_of, difference, standing
from roadworthy.evaluate.reports.report import Failure, GapReport

Kind = Literal[
    "lab",
    "production",
    "slice",
    "certainty",
    "who answered",
    "corruption",
    "under load",
    "edges",
    "load",
    "cost",
    "start",
    "memory",
]
# These depend on the machine as much as on the model.
ON_THE_MACHINE: tuple[Kind, ...] = ("load", "cost", "start", "memory")
Key = tuple[Kind, str, str]


class Moved(Struct, frozen=True):
    """One number then and now. `change` is now minus then; `because` says why it could not be compared."""

    kind: Kind
    where: str
    before: Measurement
    after: Measurement
    change: Measurement
    standing: Literal["better", "worse", "same", "undecided"]
    because: str = ""


class Changed(Struct, frozen=True):
    """A requirement, or a claim, on which the decision is another one."""

    of: str
    where: str
    before: Decision
    after: Decision
    because: str


class BaselineDiff(Struct, frozen=True):
    """What has changed since the baseline. Times are Unix seconds.

    `differs` says what else is not the same (data, seed, machine), `failures` what got no answer now and did then.
    """

    name: str
    before_at: float
    after_at: float
    differs: tuple[str, ...]
    moved: tuple[Moved, ...]
    requirements: tuple[Changed, ...]
    failures: tuple[Failure, ...]
    verdict: Verdict

    def of(self, standing: str) -> tuple[Moved, ...]:
        """The numbers that became `better` or `worse`, stayed the `same` or are `undecided`."""
        return tuple(m for m in self.moved if m.standing == standing)


def against_baseline(report: GapReport, baseline: GapReport, noise: Noise | None = None) -> BaselineDiff:
    """What became better or worse since `baseline`, and a verdict on it: fail where anything did become worse.

    The two are compared as if they knew nothing of each other, by their intervals alone: of the same rows the changes
    that are named are sure, and smaller ones go unseen. Raises BadData where the reports are not about one application.
    """
    rule = noise or Noise()
    for field in ("name", "task", "headline"):
        then, now = getattr(baseline, field), getattr(report, field)
        if then != now:
            told = f"the baseline's `{field}` is {then!r} and the report's {now!r}"
            raise BadData(f"{told}: only reports on one application can be compared")
    moved = tuple(_moved(report, baseline, rule))
    requirements = tuple(_requirements(report, baseline))
    failures = tuple(_new_failures(report, baseline))
    return BaselineDiff(
        report.name,
        baseline.made_at,
        report.made_at,
        tuple(_differs(report, baseline)),
        moved,
        requirements,
        failures,
        _verdict(moved, requirements, failures),
    )


def _moved(report: GapReport, baseline: GapReport, noise: Noise) -> Iterator[Moved]:
    then, now = dict(_numbers(baseline)), dict(_numbers(report))
    both = [key for key in now if key in then and now[key].n and then[key].n]
    judged = [key for key in both if best_of(key[2]) is not None]
    # Bonferroni: among a hundred comparisons at 5 % five would be false.
    alpha = noise.alpha / max(1, len(judged))
    obstacles = {kind: _obstacle(kind, report, baseline) for kind in ON_THE_MACHINE}
    for key in judged:
        before, after, because = then[key], now[key], obstacles.get(key[0], "")
        change = difference(before, after, alpha)
        said = "undecided" if because else standing(before, after, alpha)
        if said != "undecided" and key[0] in ON_THE_MACHINE and noise.of_a_machine(before, after):
            said, because = "undecided", f"less than {noise.machine_share:.0%}, which a machine varies by"
        same = before.value == after.value and not because
        yield Moved(key[0], key[1], before, after, change, "same" if same else said, because)


def _numbers(report: GapReport) -> Iterator[tuple[Key, Measurement]]:
    """Every number that two reports can have in common, by kind, place and name; each place in it comes once."""
    groups: list[tuple[Kind, str, Sequence[Measurement]]] = [("lab", "", report.lab)]
    groups.append(("production", "", report.production))
    groups += [("slice", part.where, part.measured) for part in report.slices]
    groups += [("certainty", _at(one.where, m), [m]) for one in report.certainty for m in one.figures]
    groups += [("who answered", _at(one.where, m), [m]) for one in report.answered_by for m in one.figures]
    spoilt = [*report.spoilt, *([report.mixed] if report.mixed else [])]
    headline = [(s, [m for m in s.measured if m.name == report.headline]) for s in spoilt]
    groups += [("corruption", f"{s.name} at {s.severity:g}", found) for s, found in headline]
    if report.under_load:
        groups += [("under load", f"{level.in_flight} in flight", [level.value]) for level in report.under_load.levels]
    if report.edges:
        groups += [("edges", m.where, [m]) for m in report.edges.measured]
    groups += _served(report)
    for kind, where, measured in groups:
        yield from (((kind, where, m.name), m) for m in measured)


def _at(table: str, m: Measurement) -> str:
    return f"{table}, {m.where}" if m.where else table


def _served(report: GapReport) -> Iterator[tuple[Kind, str, Sequence[Measurement]]]:
    if report.load:
        yield "load", "", [m for m in report.load.measured if m.name not in ("lag_p99_ms", "client_cpu_share")]
    yield "load", "", [report.capacity]
    if report.search:
        yield "load", "", [report.search.max_rate]
    if report.cost:
        yield "cost", "", [report.cost]
    if report.cold:
        yield "start", "", [report.cold.ready]
        yield from (("start", m.where, [m]) for m in report.cold.stages)
    if report.memory:
        yield "memory", "", [report.memory.idle, report.memory.peak]


def _obstacle(kind: Kind, report: GapReport, baseline: GapReport) -> str:
    """Why what a machine did then and now says nothing about the model."""
    machines = [tuple(r.environment.get(key, "") for key in ("system", "processors")) for r in (baseline, report)]
    if machines[0] != machines[1]:
        then, now = (" with ".join(filter(None, machine)) for machine in machines)
        return f"another machine: {then} then, {now} processors now"
    if kind == "cost":
        ways = ["models" in r.cost.conditions if r.cost else None for r in (baseline, report)]
        return "" if ways[0] == ways[1] else "priced otherwise: by the machine in one, by the models in the other"
    if kind != "load" or not report.load or not baseline.load:
        return ""
    for when, run in (("then", baseline.load), ("now", report.load)):
        if not run.valid:
            return f"the load run {when} was not valid: {run.because}"
    then_rate, now_rate = baseline.load.rate, report.load.rate
    if abs(now_rate - then_rate) > 0.1 * max(now_rate, then_rate):
        return f"{then_rate:.4g} requests a second then and {now_rate:.4g} now: state the rate"
    return ""


def _requirements(report: GapReport, baseline: GapReport) -> Iterator[Changed]:
    then = {key: decision for key, decision, _ in _decisions(baseline)}
    for key, decision, because in _decisions(report):
        before = then.get(key, decision)
        if before != decision:
            yield Changed(*key, before, decision, because)


def _decisions(report: GapReport) -> Iterator[tuple[tuple[str, str], Decision, str]]:
    for verdict in report.verdicts:
        where = verdict.evidence[0].where if verdict.evidence else ""
        yield (verdict.of, where), verdict.decision, verdict.because
    said: Mapping[str, Decision] = {"reproduced": "pass", "not reproduced": "fail", "not comparable": "wait"}
    for r in report.reproductions:
        yield (f"claimed {r.claim.metric}", r.claim.where), said[r.outcome], r.because


def _new_failures(report: GapReport, baseline: GapReport) -> Iterator[Failure]:
    """What failed now and did not then. Numbers in a reason ("after 3.2 s") do not make it another reason."""
    known = {(failure.where, _without_numbers(failure.because)) for failure in baseline.failures}
    for failure in report.failures:
        if (failure.where, _without_numbers(failure.because)) not in known:
            yield failure


def _without_numbers(because: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "#", because)


def _differs(report: GapReport, baseline: GapReport) -> Iterator[str]:
    for table in ("lab", "production"):
        then, now = (str(_settings(r, table).get("digest", "")) for r in (baseline, report))
        if then != now:
            yield f"the {table} data are others: {then[:12] or 'unknown'} then, {now[:12] or 'unknown'} now"
    then, now = (str(r.settings.get("seed", "unknown")) for r in (baseline, report))
    if then != now:
        yield f"the seed was {then} and is {now}"
    for what in sorted({*baseline.environment, *report.environment}):
        then, now = (r.environment.get(what, "unknown") for r in (baseline, report))
        if then != now:
            yield f"{what} was {then} and is {now}"
    keys = [{key for key, m in _numbers(r) if m.n} for r in (baseline, report)]
    for told, missing in (("no more measured", keys[0] - keys[1]), ("measured for the first time", keys[1] - keys[0])):
        for kind, n in sorted(Counter(kind for kind, *_ in missing).items()):
            yield f"{told}: {n} {'number' if n == 1 else 'numbers'} of kind {kind!r}"


def _settings(report: GapReport, table: str) -> Mapping[str, object]:
    found = report.settings.get(table, {})
    return found if isinstance(found, Mapping) else {}


def _verdict(moved: Sequence[Moved], requirements: Sequence[Changed], failures: Sequence[Failure]) -> Verdict:
    worse = [m for m in moved if m.standing == "worse"]
    broken = [r for r in requirements if r.after == "fail"]
    told = [f"{_name(m)} from {m.before.value:.4g} to {m.after.value:.4g}" for m in worse[:3]]
    told += [f"and {len(worse) - 3} more"] if len(worse) > 3 else []
    parts = [f"worse: {', '.join(told)}"] if told else []
    parts += [f"newly failing: {', '.join(_place(r.of, r.where) for r in broken)}"] if broken else []
    parts += [f"newly without an answer: {sum(f.rows for f in failures):,} rows"] if failures else []
    evidence = tuple(m.change for m in worse)
    if parts:
        return Verdict("fail", "; ".join(parts), "baseline", evidence)
    doubtful = [r for r in requirements if r.before == "pass" and r.after == "wait"]
    if doubtful:
        names = ", ".join(_place(r.of, r.where) for r in doubtful)
        return Verdict("wait", f"more data is needed for what passed before: {names}", "baseline")
    if not moved:
        return Verdict("wait", "the two reports have no number in common", "baseline")
    better = sum(m.standing == "better" for m in moved)
    return Verdict("pass", f"nothing is worse beyond noise, {better} of {len(moved)} numbers are better", "baseline")


def _name(m: Moved) -> str:
    # A measurement on a slice says itself where it was taken.
    place = m.where or ("" if m.kind == "production" else m.kind)
    return _place(m.after.name, place)


def _place(name: str, where: str) -> str:
    return f"{name} ({where})" if where else name
