"""Compare sets the gap reports of several models side by side: who meets what is required, at which price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Decision, Measurement, Verdict
from roadworthy.core.spec import Task
from roadworthy.core.stats import nothing, z_of
from roadworthy.evaluate.base import Metric
from roadworthy.evaluate.paired import Flips, change, flips
from roadworthy.evaluate.reports.better import Noise, Standing, best_of, direction, goodness, sign_of, standing
from roadworthy.evaluate.reports.report import GapReport, Rung
from roadworthy.evaluate.scoring import known

# What models are weighed by, beside the headline metric in production.
ON_THE_MACHINE = ("p99_ms", "usd_per_1k", "max_rate_rps", "capacity_rps", "rss_peak", "ready_ms")


class Difference(Struct, frozen=True):
    """Two models on the same rows: `other` minus `one` of the headline, and which rows only one of them got right."""

    one: str
    other: str
    change: Measurement
    flips: Flips


class Contender(Struct, frozen=True):
    """One model: what was decided on it, its waterfall, its metrics, and what serving it takes.

    `served` holds latencies, rates, the price and the memory as far as they were measured in a valid run; `because`
    says why its load run was none.
    """

    name: str
    decision: Decision
    verdicts: tuple[Verdict, ...]
    waterfall: tuple[Rung, ...]
    lab: tuple[Measurement, ...]
    production: tuple[Measurement, ...]
    served: tuple[Measurement, ...]
    because: str = ""

    def find(self, name: str) -> Measurement:
        """The measurement of this name, in production where it is a metric; that of nothing where there is none."""
        return next((m for m in (*self.production, *self.served) if m.name == name), nothing(name))


class Beaten(Struct, frozen=True):
    """A model than which another one is better in these numbers, and worse in none, by more than noise."""

    name: str
    by: str
    better_in: tuple[str, ...]


class Comparison(Struct, frozen=True):
    """Several models on the same data, against the same requirements. Several names in one place are a tie.

    `best` are those that no other beats on the headline beyond noise, `cheapest` those of the lowest price among the
    ones that meet every requirement.
    """

    name: str
    headline: str
    task: Task
    made_at: float
    data: dict[str, Any]
    contenders: tuple[Contender, ...]
    differences: tuple[Difference, ...]
    meets: tuple[str, ...]
    best: tuple[str, ...]
    cheapest: tuple[str, ...]
    because: str
    dominated: tuple[Beaten, ...]

    @property
    def decision(self) -> Decision:
        """`pass` where at least one model meets every requirement, `wait` where one still may."""
        decisions = {c.decision for c in self.contenders}
        return "pass" if "pass" in decisions else "wait" if "wait" in decisions else "fail"

    def difference(self, one: str, other: str) -> Measurement:
        """`other` minus `one` on the same rows; that of nothing where the two were not paired."""
        for d in self.differences:
            if (d.one, d.other) == (one, other):
                return d.change
            if (d.one, d.other) == (other, one):
                c = d.change
                return Measurement(c.name, -c.value, c.n, -c.high, -c.low, c.unit, c.where, c.conditions)
        return nothing(f"{self.headline}_change")


def compare(
    reports: Mapping[str, GapReport], differences: Sequence[Difference] = (), noise: Noise | None = None
) -> Comparison:
    """The reports side by side, by the names of their models.

    Without paired `differences` the headlines are told apart by their intervals alone, and no winner is named where
    these overlap. Raises BadData naming what differs where the reports are not about the same application, data and
    requirements.
    """
    _check(reports)
    rule, first = noise or Noise(), next(iter(reports.values()))
    contenders = tuple(_contender(name, report) for name, report in reports.items())
    found = Comparison(
        name=first.name,
        headline=first.headline,
        task=first.task,
        made_at=max(report.made_at for report in reports.values()),
        data={table: first.settings.get(table) for table in ("lab", "production")},
        contenders=contenders,
        differences=tuple(differences),
        meets=tuple(c.name for c in contenders if c.decision == "pass"),
        best=(),
        cheapest=(),
        because="",
        dominated=(),
    )
    cheapest, because = _cheapest(found, rule)
    best, dominated = tuple(_best(found, rule)), tuple(_dominated(found, rule))
    return replace(found, best=best, cheapest=cheapest, because=because, dominated=dominated)


def paired(
    metric: Metric,
    labels: NDArray[Any],
    answers: Mapping[str, NDArray[Any]],
    rng: np.random.Generator,
    task: Task = "binary",
    alpha: float = 0.05,
) -> tuple[Difference, ...]:
    """Every two models on the rows that both have answered, with intervals that hold for all pairs at once.

    Bonferroni, by widening each interval in the ratio of the normal quantiles.
    """
    pairs = list(combinations(answers, 2))
    level = 1 - alpha / max(1, len(pairs))
    found = []
    for one, other in pairs:
        both = known(labels, answers[one], answers[other])
        rows = (labels[both], answers[one][both], answers[other][both])
        moved = _widened(change(metric, *rows, rng), level)
        found.append(Difference(one, other, moved, flips(*rows, task=task, metric=metric)))
    return tuple(found)


def _widened(m: Measurement, level: float) -> Measurement:
    scale = z_of(level) / z_of(0.95)
    low, high = m.value - scale * (m.value - m.low), m.value + scale * (m.high - m.value)
    told = {name: scale * value if name == "detectable" else value for name, value in m.conditions.items()}
    return replace(m, low=low, high=high, conditions={**told, "confidence": level}) if m.n else m


def _check(reports: Mapping[str, GapReport]) -> None:
    if len(reports) < 2:
        raise BadData(f"a comparison needs two reports or more, got {len(reports)}")
    (name, first), *others = reports.items()
    for other, report in others:
        for what, one, two in zip(_ABOUT, _about(first), _about(report), strict=True):
            if one != two:
                told = f"different {what}: {one!r} in the report of {name!r}, {two!r} in that of {other!r}"
                raise BadData(f"{told}; measure both with the same project file")


_ABOUT = ("applications", "tasks", "headline metrics", "lab data", "production data", "requirements")


def _about(report: GapReport) -> tuple[object, ...]:
    digests = [(report.settings.get(table) or {}).get("digest", "") for table in ("lab", "production")]
    wanted = [(v.of, v.evidence[0].where if v.evidence else "") for v in report.verdicts]
    return (report.name, report.task, report.headline, *digests, sorted(wanted))


def _contender(name: str, report: GapReport) -> Contender:
    invalid = report.load is not None and not report.load.valid
    return Contender(
        name,
        report.decision,
        report.verdicts,
        report.waterfall,
        report.lab,
        report.production,
        tuple(m for m in _served(report) if m.n),
        report.load.because if report.load and invalid else "",
    )


def _served(report: GapReport) -> Iterator[Measurement]:
    if report.load and report.load.valid:
        yield from (m for m in report.load.measured if m.name not in ("lag_p99_ms", "client_cpu_share"))
    yield report.capacity
    if report.search:
        yield report.search.max_rate
    if report.cost:
        yield report.cost
    if report.memory:
        yield from (report.memory.idle, report.memory.peak)
    if report.cold:
        yield report.cold.ready


def _standing(found: Comparison, one: Contender, other: Contender, name: str, noise: Noise) -> Literal[Standing, "tie"]:
    """What `one` is against `other` in one number; a tie where they were paired, or where a machine may explain it."""
    before, after = other.find(name), one.find(name)
    if name == found.headline:
        change = found.difference(other.name, one.name)
        if change.n:
            said = sign_of(change, direction(name))
            return "tie" if said == "undecided" else said
        return _side_by_side(before, after)
    said = standing(before, after, noise.alpha)
    return "tie" if said == "undecided" or noise.of_a_machine(before, after) else said


def _side_by_side(before: Measurement, after: Measurement) -> Standing:
    """On the same rows intervals that do not overlap are more than enough, and those that do say nothing."""
    one, other = goodness(before), goodness(after)
    if one is None or other is None or not one.n or not other.n:
        return "undecided"
    if other.low > one.high or other.high < one.low:
        return "better" if other.low > one.high else "worse"
    return "undecided"


def _best(found: Comparison, noise: Noise) -> Iterator[str]:
    for one in found.contenders:
        against = (_standing(found, one, other, found.headline, noise) for other in found.contenders if other != one)
        if one.find(found.headline).n and "worse" not in against:
            yield one.name


def _cheapest(found: Comparison, noise: Noise) -> tuple[tuple[str, ...], str]:
    able = [c for c in found.contenders if c.decision == "pass"]
    if not able:
        waiting = [c.name for c in found.contenders if c.decision == "wait"]
        more = f"; {', '.join(waiting)} may, once there is more data" if waiting else ""
        return (), f"no model meets every requirement{more}"
    priced = [c for c in able if c.find("usd_per_1k").n]
    if not priced:
        return (), "no price is known: set `cost.usd_per_hour` in the project file"
    lowest = min(priced, key=lambda c: c.find("usd_per_1k").value)
    tied = [c.name for c in priced if c == lowest or _standing(found, c, lowest, "usd_per_1k", noise) != "worse"]
    price = f"{lowest.find('usd_per_1k').value:.6f}".rstrip("0").rstrip(".") + " US dollars per 1,000 requests"
    told = price if len(tied) == 1 else f"{price} at the lowest, and no difference beyond noise"
    return tuple(tied), f"{told}, of {len(able)} that meet every requirement"


def _dominated(found: Comparison, noise: Noise) -> Iterator[Beaten]:
    for loser in found.contenders:
        for winner in found.contenders:
            better_in = () if winner == loser else _beats(found, winner, loser, noise)
            if better_in:
                yield Beaten(loser.name, winner.name, better_in)
                break


def _beats(found: Comparison, winner: Contender, loser: Contender, noise: Noise) -> tuple[str, ...]:
    """What `winner` is better in, where it is to be preferred whatever one cares for; nothing where it is not."""
    ranks = {"fail": 0, "wait": 1, "pass": 2}
    if ranks[winner.decision] < ranks[loser.decision]:
        return ()
    better = []
    for name in (found.headline, *ON_THE_MACHINE):
        ours, theirs = goodness(winner.find(name)), goodness(loser.find(name))
        if best_of(name) is None or not ours or not theirs or not (ours.n or theirs.n):
            continue
        said = _standing(found, winner, loser, name, noise)
        # What could not be told apart, or was measured of one only, may be what the loser is better in.
        if said == "worse" or not (ours.n and theirs.n) or (said == "undecided" and ours.value < theirs.value):
            return ()
        if said == "better":
            better.append(name)
    return tuple(better)
