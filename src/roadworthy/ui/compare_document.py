"""A comparison of several models as a document: who meets what is required, at which price, and who is beaten."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from roadworthy.core.measure import Measurement
from roadworthy.evaluate.reports.better import direction
from roadworthy.evaluate.reports.compare import Beaten, Comparison, Contender
from roadworthy.ui.charts import Series, Spot, interval_chart, line_chart, scatter_chart
from roadworthy.ui.document import Badge, Block, Cell, Change, Charts, Document, Note, Section, Table, Tile, section
from roadworthy.ui.gap_words import OUTCOME, find
from roadworthy.ui.words import UNKNOWN, interval, metric_name, moment, number, p_value

PRICES = ("usd_per_1k", "p99_ms", "rss_peak")
SERVED = (
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "error_rate",
    "max_rate_rps",
    "capacity_rps",
    "usd_per_1k",
    "rss_peak",
    "ready_ms",
)


def compare_document(found: Comparison) -> Document:
    """Everything side by side, the answer first."""
    parts = (_choice(found), _requirements(found), _quality(found), _prices(found), _steps(found), _serving(found))
    names = ", ".join(c.name for c in found.contenders)
    decided = {
        "pass": "a model meets what is required",
        "fail": "no model meets what is required",
        "wait": OUTCOME["wait"],
    }
    return Document(
        kind=f"{len(found.contenders)} models compared",
        name=found.name,
        badge=Badge(found.decision, decided[found.decision]),
        lead=compare_summary(found),
        facts=f"{names}; the same data, the same requirements",
        tiles=tuple(_tiles(found)),
        sections=tuple(part for part in parts if part is not None),
        below=f"Compared by Roadworthy on {moment(found.made_at)} UTC. This page is one file.",
    )


def compare_summary(found: Comparison) -> str:
    """Who meets all requirements, who is cheapest among them, who is best, and who is beaten; ties said as ties."""
    sentences = [_meeting(found), _cheapest(found), _best(found)]
    sentences += [f"beaten is {b.name}, by {b.by}, which is better in {_listed(_metrics(b))}" for b in found.dominated]
    return " ".join(s[0].upper() + s[1:] + "." for s in sentences if s)


def _meeting(found: Comparison) -> str:
    if not any(c.verdicts for c in found.contenders):
        return "no requirement is set, so nothing was judged"
    if not found.meets:
        return found.because
    if len(found.meets) == len(found.contenders):
        return f"all {len(found.meets)} models meet every requirement"
    return f"every requirement is met by {_listed(found.meets)}"


def _cheapest(found: Comparison) -> str:
    if not found.meets:
        return ""
    if not found.cheapest:
        return found.because
    if len(found.cheapest) == 1:
        return f"the cheapest of those is {found.cheapest[0]}: {found.because}"
    return f"the cheapest of those are tied, {_listed(found.cheapest)}: {found.because}"


def _best(found: Comparison) -> str:
    name, paired = metric_name(found.headline), bool(found.differences)
    if not found.best:
        return f"no {name} was measured in production"
    if len(found.best) == 1:
        return f"the best {name} in production is that of {found.best[0]}"
    unpaired = "" if paired else ", by their intervals alone, as they were not paired row by row"
    return f"the best {name} in production is a tie: {_listed(found.best)}{unpaired}"


def _metrics(beaten: Beaten) -> list[str]:
    return [metric_name(name) for name in beaten.better_in]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _tiles(found: Comparison) -> Iterator[Tile]:
    for c in found.contenders:
        m = c.find(found.headline)
        yield Tile(c.name, number(m.value, m.unit), f"{metric_name(found.headline)} {interval(m)}".strip())


def _choice(found: Comparison) -> Section | None:
    rows: list[tuple[Cell, ...]] = []
    beaten = {b.name: b for b in found.dominated}
    for c in found.contenders:
        best = "best" if found.best == (c.name,) else "not told apart" if c.name in found.best else "behind"
        said = beaten.get(c.name)
        by = f"by {said.by}: {', '.join(_metrics(said))}" if said else "by none"
        rows.append((c.name, Badge(c.decision, c.decision), c.find(found.headline), best, *_kept(c), by))
    head = ("Model", "Requirements", metric_name(found.headline), "Standing", *map(metric_name, PRICES), "Beaten")
    blocks: list[Block | None] = [
        Table("Side by side", head, rows, ("Requirements", "Standing", "Beaten")),
        *(
            Note(
                f"{c.name}: the load run was not valid, so its latencies do not count. {c.because}",
                Badge("wait", "no load"),
            )
            for c in found.contenders
            if c.because
        ),
        *(Charts((chart,)) for chart in _fronts(found)),
    ]
    aside = "A model is beaten where another one is better in something, and worse in nothing, by more than noise."
    return section("Which one to take", blocks, aside)


def _kept(c: Contender) -> list[Cell]:
    return [m if m.n else UNKNOWN for m in map(c.find, PRICES)]


def _fronts(found: Comparison) -> Iterator[str]:
    """Quality against each price that at least two models have, with the models that are on the front joined."""
    for price in ("usd_per_1k", "p99_ms"):
        known = [c for c in found.contenders if c.find(price).n and math.isfinite(c.find(price).value)]
        if len(known) < 2:
            continue
        beaten = {b.name for b in found.dominated}
        spots = [
            Spot(c.name, c.find(price), c.find(found.headline), 1 if c.decision == "pass" else 2, c.name in beaten)
            for c in known
        ]
        name = metric_name(found.headline)
        title = f"{name} in production against {metric_name(price).lower()}"
        front = pareto_front(spots, direction(found.headline) or 1)
        axes = (f"{metric_name(price)} (dot: meets what is required, square: does not, hollow: beaten)", name)
        yield scatter_chart(title, axes, spots, front)


def pareto_front(spots: Sequence[Spot], way: int) -> tuple[str, ...]:
    """The names of those than which none is at once better and cheaper, by their values; noise is left aside."""

    def beats(a: Spot, b: Spot) -> bool:
        gain, saving = way * (a.y.value - b.y.value), b.x.value - a.x.value
        return gain >= 0 and saving >= 0 and (gain > 0 or saving > 0)

    known = [s for s in spots if math.isfinite(s.x.value) and math.isfinite(s.y.value)]
    return tuple(s.name for s in known if not any(beats(other, s) for other in known))


def _requirements(found: Comparison) -> Section | None:
    keys = list(
        dict.fromkeys((v.of, v.evidence[0].where if v.evidence else "") for c in found.contenders for v in c.verdicts)
    )
    rows: list[tuple[Cell, ...]] = []
    for of, where in keys:
        rows.append(
            (metric_name(of) + (f" on {where}" if where else ""), *(_verdict(c, of, where) for c in found.contenders))
        )
    names = tuple(c.name for c in found.contenders)
    whys: list[tuple[Cell, ...]] = [
        (c.name, metric_name(v.of), v.because) for c in found.contenders for v in c.verdicts if v.decision != "pass"
    ]
    missed = Table("What is not met, and why", ("Model", "Metric", "Why"), whys, ("Metric", "Why"))
    return section("What the application requires", [Table("Requirements", ("Requirement", *names), rows), missed])


def _verdict(c: Contender, of: str, where: str) -> Cell:
    for v in c.verdicts:
        if (v.of, v.evidence[0].where if v.evidence else "") == (of, where):
            return Badge(v.decision, v.decision)
    return UNKNOWN


def _quality(found: Comparison) -> Section | None:
    name = metric_name(found.headline)
    drawn = interval_chart(f"{name} in production", [(c.name, c.find(found.headline)) for c in found.contenders])
    metrics = list(dict.fromkeys(m.name for c in found.contenders for m in c.production))
    rows: list[tuple[Cell, ...]] = [
        (metric_name(m), *(find(c.production, m) for c in found.contenders)) for m in metrics
    ]
    names = tuple(c.name for c in found.contenders)
    pairs: list[tuple[Cell, ...]] = []
    for d in found.differences:
        only = (f"{d.flips.broken:,}", f"{d.flips.fixed:,}", p_value(d.flips.p))
        could = number(float(d.change.conditions.get("detectable", math.nan)))
        pairs.append((f"{d.other} less {d.one}", Change(d.change), _said(found, d.one, d.other), *only, could))
    head = (
        "Pair",
        f"Difference in {name}",
        "Finding",
        "Right by the first only",
        "By the second only",
        "p",
        "Could show",
    )
    blocks: list[Block | None] = [
        Charts((drawn,)),
        Table("In production", ("Metric", *names), rows),
        Table("Row by row", head, pairs, ("Finding",)),
    ]
    paired = "The pairs were compared on the same rows, with intervals that hold for all pairs at once."
    alone = "The models were not paired row by row: intervals stand side by side, and where they overlap nobody wins."
    return section("Quality", blocks, paired if pairs else alone)


def _said(found: Comparison, one: str, other: str) -> str:
    change, way = found.difference(one, other), direction(found.headline)
    if not change.n or not way or change.low <= 0 <= change.high:
        return "a tie"
    return f"{other if change.value * way > 0 else one} is better"


def _prices(found: Comparison) -> Section | None:
    figures = []
    for price in ("usd_per_1k", "p99_ms", "max_rate_rps", "rss_peak"):
        rows = [(c.name, c.find(price)) for c in found.contenders]
        if any(m.n for _, m in rows):
            figures.append(interval_chart(metric_name(price), rows))
    return section("What serving takes", [Charts(tuple(figures))])


def _steps(found: Comparison) -> Section | None:
    kinds = list(
        dict.fromkeys((r.kind, r.name if r.kind == "corruption" else "") for c in found.contenders for r in c.waterfall)
    )
    rows: list[tuple[Cell, ...]] = [
        (name or kind, *(_rung(c, kind, name) for c in found.contenders)) for kind, name in kinds
    ]
    main = [kind for kind, name in kinds if not name]
    colours = range(1, 5)
    series = [
        Series(c.name, tuple(_rung(c, kind, "") for kind in main), colours[k % 4])
        for k, c in enumerate(found.contenders)
    ]
    name = metric_name(found.headline)
    chart = Charts((line_chart(f"{name}, step by step", main, series),), side_by_side=True) if main else None
    head = ("Step", *(c.name for c in found.contenders))
    return section("From the claim to production", [chart, Table(f"{name} at each step", head, rows)])


def _rung(c: Contender, kind: str, name: str) -> Measurement:
    found = (r.measured for r in c.waterfall if r.kind == kind and (not name or r.name == name))
    return next(found, Measurement(""))


def _serving(found: Comparison) -> Section | None:
    rows: list[tuple[Cell, ...]] = []
    for name in SERVED:
        measured = [c.find(name) for c in found.contenders]
        if any(m.n for m in measured):
            rows.append((metric_name(name), *measured))
    head = ("Measure", *(c.name for c in found.contenders))
    return section("Load, start, memory and cost", [Table("Serving", head, rows)])
