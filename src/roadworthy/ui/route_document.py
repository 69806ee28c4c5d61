"""A fitted router as a page: what it recovers of the gap between two models, and for which share of dear calls."""

from __future__ import annotations

from collections.abc import Iterator

from roadworthy.core.measure import Measurement
from roadworthy.route.routers.curve import Curve as Recovered
from roadworthy.route.routers.fitting import RouterFit
from roadworthy.route.routers.router_text import MEASURED, MODELS, beats_chance, fit_lines
from roadworthy.ui.charts import Spot
from roadworthy.ui.curves import Curve, curve_chart, exact
from roadworthy.ui.document import Badge, Charts, Document, Listing, Note, Section, Table, Tile, section
from roadworthy.ui.page import html_of
from roadworthy.ui.words import interval, number, percent


def route_page(found: RouterFit, name: str) -> str:
    """What `roadworthy route fit` found, as a page."""
    return html_of(route_document(found, name))


def route_document(found: RouterFit, name: str) -> Document:
    """The router of the deployment `name`; every figure is of rows that were left out while fitting."""
    better = beats_chance(found)
    parts = [_recovered("Before the answer", found.curve, found.file.settings.share)]
    if found.after is not None:
        parts.append(_recovered("After the answer", found.after, found.file.settings.share_after))
    chances = [(f"{MEASURED[m.name]} of the {MODELS[m.where]} model", m) for m in found.measured]
    aside = "How good the router's chances are that a model will be right, on rows that were left out."
    parts.append(section("What it says of either model", [Table("", ("", "Measured"), chances)], aside))
    parts.append(section("In words", [Listing("", "\n".join(fit_lines(found)))]))
    return Document(
        kind="router",
        name=name,
        badge=Badge("pass" if better else "wait", "better than chance" if better else "not shown to beat chance"),
        lead="A router is worth what it recovers of the gap between the models beyond what chance would.",
        facts=f"{found.n:,} judged rows",
        tiles=tuple(_tiles(found)),
        sections=tuple(part for part in parts if part is not None),
        below="APGR and CPT are those of Ong et al. 2024. This page is one file and loads nothing from anywhere.",
    )


def _tiles(found: RouterFit) -> Iterator[Tile]:
    curve = found.curve
    yield Tile("Gap recovered (APGR)", number(curve.apgr.value), f"{interval(curve.apgr)}, by chance 0.5")
    if found.after is not None:
        after = found.after.apgr
        yield Tile("The same after the answer", number(after.value), f"{interval(after)}, by chance 0.5")
    yield Tile("Calls for half of it", percent(curve.cpt50.value), "by chance 50 %")
    yield Tile("Calls for 80 % of it", percent(curve.cpt80.value), "by chance 80 %")


def _recovered(title: str, found: Recovered, share: float) -> Section | None:
    if not found.apgr.n:
        return section(title, [Note("The models are equally good: there is nothing to route for.")])
    lines = [
        Curve("router", *_line(found, 1), 1),
        Curve("ideal", *_line(found, 3), 2),
        Curve("chance", *_line(found, 2), 3, faint=True),
    ]
    at = min(found.points, key=lambda point: abs(point[0] - share))
    chart = curve_chart("Cost and quality", ("share sent to the dear model", "right"), lines, [_spot(at)])
    aside = f"The dear model alone is right in {percent(found.strong)}, the cheap one in {percent(found.weak)}."
    return section(title, [Charts((chart,), True)], aside)


def _line(found: Recovered, place: int) -> tuple[tuple[float, ...], tuple[Measurement, ...]]:
    return tuple(point[0] for point in found.points), tuple(exact(point[place]) for point in found.points)


def _spot(point: tuple[float, float, float, float]) -> Spot:
    return Spot("budget", exact(point[0]), exact(point[1]), 4)
