"""A fitted router told in lines of text."""

from __future__ import annotations

from math import isfinite

from roadworthy.route.routers.budgets import Plan
from roadworthy.route.routers.curve import Curve
from roadworthy.route.routers.fitting import RouterFit


def fit_lines(found: RouterFit) -> list[str]:
    """What was learnt, on rows that were left out while learning, and what the budget makes of it."""
    reads = ", ".join(f"{part.column} ({type(part).__name__.lower()})" for part in found.file.before.parts)
    lines = [f"fitted to {found.n:,} judged rows, reading {reads}; figures are of rows that were left out"]
    lines += curve_lines(found.curve, "before the answer")
    if found.after is not None:
        lines += curve_lines(found.after, "after the answer")
    lines += [f"  {measured}" for measured in found.measured]
    return lines + plan_lines(found.router.plan_for(found.file.settings.share), found)


def curve_lines(curve: Curve, when: str) -> list[str]:
    """The figures of a cost-quality curve."""
    if not curve.apgr.n:
        return [f"{when}: the strong model is right as often as the weak one ({curve.weak:.1%}): nothing to route for"]
    return [
        f"{when}: strong {curve.strong:.1%} right, weak {curve.weak:.1%}",
        f"  {curve.apgr} (by chance 0.5, ideal {curve.ideal_apgr:.3g})",
        f"  {curve.cpt50.value:.1%} of the calls recover half of the gap, {curve.cpt80.value:.1%} recover 80 % of it",
    ]


def plan_lines(plan: Plan, found: RouterFit) -> list[str]:
    """What a budget sends, loses, and promises each segment."""
    lines = [f"budget: {plan.share}, expected to lose {plan.loss:.4g} a row against the strong model alone"]
    names = found.file.segments.names
    if not names:
        return lines
    if not isfinite(plan.limit):
        return [*lines, "  no floors: no segment is kept from paying for the others"]
    sure = f"each with {plan.sureness:.0%} sureness" if plan.sureness > 0.5 else "on average at best: judge more rows"
    lines.append(f"  no segment is expected to lose more than {plan.limit:.4g}, {sure}")
    least = sorted(zip(plan.thresholds, names, strict=True))[:3]
    return [*lines, f"  most is sent of {', '.join(f'{name} (from a gain of {bar:.3g})' for bar, name in least)}"]
