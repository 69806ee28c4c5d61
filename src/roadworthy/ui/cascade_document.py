"""A fitted cascade as a page: what it promises, what it sends on, and how far it is from the best there could be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from roadworthy.core.measure import Measurement
from roadworthy.route.cascades.fits import CascadeFit, Level, Point
from roadworthy.route.cascades.report import SCOPES, plot_of
from roadworthy.ui.charts import Spot
from roadworthy.ui.curves import Curve, curve_chart, exact
from roadworthy.ui.document import Badge, Cell, Charts, Document, Note, Section, Table, Tile, section
from roadworthy.ui.page import html_of
from roadworthy.ui.words import number, percent


def cascade_page(fit: CascadeFit, name: str, usd_per_1k: Mapping[str, float]) -> str:
    """What `roadworthy cascade fit` found, as a page; `usd_per_1k` are the members' prices, the dearest last."""
    return html_of(cascade_document(fit, name, usd_per_1k))


def cascade_document(fit: CascadeFit, name: str, usd_per_1k: Mapping[str, float]) -> Document:
    """The fit of the deployment `name`."""
    parts = (_levels(fit, tuple(usd_per_1k)), _frontier(fit), section("What it rests on", [Note(fit.certificate)]))
    return Document(
        kind="cascade",
        name=name,
        badge=Badge("pass" if fit.certified else "wait", "certified" if fit.certified else "every row is sent on"),
        lead=f"Promised: {fit.target.words}.",
        facts=f"{fit.labels:,} labels of {fit.rows:,} rows; the promise is about errors {SCOPES[fit.scope]}",
        tiles=tuple(_tiles(fit, usd_per_1k)),
        sections=tuple(part for part in parts if part is not None),
        below="Rows sent on count as the last model answers them. This page loads nothing from anywhere.",
    )


def _tiles(fit: CascadeFit, prices: Mapping[str, float]) -> Iterator[Tile]:
    yield Tile("Sent on", percent(fit.delegation.value), _within(fit.delegation))
    if len(prices) == 2 and all(prices.values()):
        cheap, dear = prices.values()
        share = fit.delegation.value
        alone = f"{number(dear, 'usd')} with {tuple(prices)[1]} alone"
        yield Tile("For 1,000 rows", number(cheap + share * dear, "usd"), alone)


def _within(share: Measurement) -> str:
    return f"{percent(share.low)} to {percent(share.high)}" if share.low < share.high else ""


def _levels(fit: CascadeFit, members: Sequence[str]) -> Section | None:
    rows: list[tuple[Cell, ...]] = [(level.name or "cheap", _words(level), _share(level)) for level in fit.levels]
    rows.append((members[-1] if members else "the last", "what is sent on", percent(fit.delegation.value)))
    return section("Levels", [Table("", ("Model", "Answers by itself", "Share"), rows, ("Model", "Answers by itself"))])


def _words(level: Level) -> str:
    if level.shut:
        return "never: every row goes on"
    if level.by_class:
        edges = ("never" if edge is None else number(edge) for edge in level.by_class)
        return f"from a confidence of (by predicted class) {', '.join(edges)}"
    if level.keep_from is not None:
        return f"from a confidence of {number(level.keep_from)}"
    no = "" if level.reject_below is None else f"no below {number(level.reject_below)}"
    yes = "" if level.accept_from is None else f"yes from {number(level.accept_from)}"
    return " and ".join(part for part in (no, yes) if part)


def _share(level: Level) -> str:
    return "–" if level.answers is None else percent(level.answers)


def _frontier(fit: CascadeFit) -> Section | None:
    plot = plot_of(fit)
    if not plot.curve:
        return None
    charts = [_chart(metric, k, fit) for k, metric in enumerate(plot.metrics)]
    aside = "The ideal is the least that thresholds send on which were chosen with every label known."
    return section("Cost and quality", [Charts(tuple(charts), True)], aside)


def _chart(metric: str, place: int, fit: CascadeFit) -> str:
    plot = plot_of(fit)
    curves = [
        _curve("cascade", plot.curve, place, 1),
        _curve("ideal", _best((*plot.ideal, *plot.curve), place), place, 2),
    ]
    wanted = fit.target.stated[metric]
    least, most = min(p.delegation for p in plot.curve), max(p.delegation for p in plot.curve)
    curves.append(Curve("promised", (least, most), (exact(wanted), exact(wanted)), 3, faint=True))
    spots = [] if plot.chosen is None else [Spot("chosen", plot.delegation, exact(plot.chosen.reached[place]), 4)]
    return curve_chart(metric.capitalize(), ("share sent on", metric), [c for c in curves if c.x], spots)


def _best(points: Sequence[Point], place: int) -> list[Point]:
    """The points that reach more than any of a lesser share: who knows each label does as well as what was tried.

    The ideal is known for a few targets only, between which the thresholds that were tried may lie above its line.
    """
    best: list[Point] = []
    for point in sorted(points, key=lambda one: (one.delegation, -one.reached[place])):
        if not best or point.reached[place] > best[-1].reached[place]:
            best.append(point)
    return best


def _curve(name: str, points: Sequence[Point], place: int, colour: int) -> Curve:
    ordered = sorted(points, key=lambda point: point.delegation)
    return Curve(name, tuple(p.delegation for p in ordered), tuple(exact(p.reached[place]) for p in ordered), colour)
