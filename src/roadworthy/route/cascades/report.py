"""What a fitted cascade looks like in words and as the points of a plot."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from roadworthy.core.measure import Measurement
from roadworthy.route.cascades.fits import CascadeFit, Level, Point, Scope

# What a promise is about.
SCOPES: Mapping[Scope, str] = {"batch": "in these very rows", "traffic": "in rows that come as these did"}


class CascadePlot(Struct, frozen=True):
    """Lines of share sent on (x) against each metric reached (y): what the sample shows, the ideal, what was chosen."""

    metrics: tuple[str, ...]
    curve: tuple[Point, ...]
    ideal: tuple[Point, ...]
    chosen: Point | None
    delegation: Measurement


def plot_of(fit: CascadeFit) -> CascadePlot:
    """The data of the plot; `chosen` is the point of the curve that lies nearest to the delegation of the fit."""
    near = min(fit.curve, key=lambda point: abs(point.delegation - fit.delegation.value), default=None)
    return CascadePlot(tuple(fit.target.stated), fit.curve, fit.ideal, near, fit.delegation)


def report(fit: CascadeFit) -> str:
    """The fit in lines for people."""
    lines = [f"cascade for {fit.target.words}, {SCOPES[fit.scope]}"]
    lines += [f"  {_level(level)}" for level in fit.levels]
    low, high = fit.delegation.low, fit.delegation.high
    within = f" [{low:.1%}, {high:.1%}]" if high > low else ""
    lines.append(f"  sent on: {fit.delegation.value:.1%}{within} of rows{_ideal(fit)}")
    bought = f", {fit.bought:,} of them bought and counted as sent on" if fit.bought else ""
    lines.append(f"  rests on {fit.labels:,} labels{bought}")
    if fit.flips is None:
        lines.append("  whether the last model contradicts itself was not measured: it is taken to answer steadily")
    else:
        lines.append(f"  the last model flips at most {fit.flips:.2%} of its answers, which is allowed for")
    lines.append(f"  certificate: {fit.certificate}")
    return "\n".join(lines)


def _level(level: Level) -> str:
    name, share = level.name or "cheap", "" if level.answers is None else f" ({level.answers:.1%} of rows)"
    if level.shut:
        return f"{name}: sends every row on"
    if level.by_class:
        edges = ", ".join("never" if edge is None else f"{edge:.4g}" for edge in level.by_class)
        return f"{name}: answers where its confidence reaches, by predicted class: {edges}{share}"
    if level.keep_from is not None:
        return f"{name}: answers where its confidence is at least {level.keep_from:.4g}{share}"
    no = "" if level.reject_below is None else f"no below {level.reject_below:.4g}"
    yes = "" if level.accept_from is None else f"yes from {level.accept_from:.4g} on"
    return f"{name}: {' and '.join(part for part in (no, yes) if part)}{share}"


def _ideal(fit: CascadeFit) -> str:
    """What knowing every label would send on, where the frontier has the target."""
    wanted = tuple(fit.target.stated.values())
    found = [point.delegation for point in fit.ideal if point.reached == wanted]
    return f" (ideal on the tested rows: {found[0]:.1%})" if found else ""
