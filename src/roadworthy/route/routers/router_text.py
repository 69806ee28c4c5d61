"""A fitted router told in lines of text."""

from __future__ import annotations

from math import isfinite

from roadworthy.core.measure import Measurement
from roadworthy.route.routers.budgets import Plan
from roadworthy.route.routers.curve import Curve
from roadworthy.route.routers.fitting import RouterFit

# What the two models are called, and what was measured of the router's chances.
MODELS = {"strong": "dear", "weak": "cheap"}
MEASURED = {"log_loss": "log loss", "auc": "AUC", "debiased_ece": "calibration error"}


def beats_chance(found: RouterFit) -> bool:
    """Was it shown to be better than sending rows by chance, before the answer or after it?"""
    return any(curve.apgr.n and curve.apgr.low > 0.5 for curve in (found.curve, found.after) if curve is not None)


def fit_lines(found: RouterFit) -> list[str]:
    """What was learnt, on rows that were left out while learning, and what the budget makes of it."""
    reads = ", ".join(f"{part.column} ({type(part).__name__.lower()})" for part in found.file.before.parts)
    lines = [f"fitted to {found.n:,} judged rows, reading {reads}; figures are of rows that were left out"]
    lines += curve_lines(found.curve, "before the answer")
    if found.after is not None:
        lines += curve_lines(found.after, "after the answer")
    lines += [f"  of the {MODELS[one.where]} model: {_told(MEASURED[one.name], one)}" for one in found.measured]
    if not beats_chance(found):
        lines.append("not shown to be better than chance: judge more rows, or look at the cheap answer too")
    return lines + plan_lines(found.router.plan_for(found.file.settings.share), found)


def _told(name: str, one: Measurement) -> str:
    return f"{name} {one.value:.3g} [{one.low:.3g}, {one.high:.3g}]"


def curve_lines(curve: Curve, when: str) -> list[str]:
    """The figures of a cost-quality curve."""
    if not curve.apgr.n:
        return [f"{when}: the dear model is right as often as the cheap one ({curve.weak:.1%}): nothing to route for"]
    return [
        f"{when}: the dear model is right in {curve.strong:.1%}, the cheap one in {curve.weak:.1%}",
        f"  {_told('gap recovered (APGR)', curve.apgr)}; by chance 0.5, ideal {curve.ideal_apgr:.3g}",
        f"  {curve.cpt50.value:.1%} of the calls recover half of the gap, {curve.cpt80.value:.1%} recover 80 % of it",
    ]


def plan_lines(plan: Plan, found: RouterFit) -> list[str]:
    """What a budget sends, loses, and promises each segment."""
    share, loses = plan.share, "nothing" if plan.loss <= 0 else f"{plan.loss:.2%} of the rows"
    lines = [
        f"budget: {share.value:.1%} [{share.low:.1%}, {share.high:.1%}] of the rows go to the dear model; "
        f"to be lost against that one alone: {loses}"
    ]
    names = found.file.segments.names
    if not names:
        return lines
    if not isfinite(plan.limit):
        return [*lines, "  no floors: no segment is kept from paying for the others"]
    asked = found.file.settings
    lines.append(
        f"  no segment is to lose more than {plan.limit:.4g} over {asked.requests:,} requests; by the router's own "
        f"gains each keeps to that with {plan.sureness:.0%} sureness or more"
        f"{'' if plan.sureness >= asked.sureness else ': judge more rows'}. Gains learnt from few rows are too bold: "
        f"`roadworthy route report` tells what segments really lose"
    )
    least = sorted(zip(plan.thresholds, names, strict=True))[:3]
    return [*lines, f"  most readily sent: {', '.join(f'{name} (from a gain of {bar:.3g})' for bar, name in least)}"]
