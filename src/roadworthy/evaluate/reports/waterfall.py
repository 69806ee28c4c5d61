"""The waterfall sets the headline metric side by side: as claimed, in the lab, in production, in a crowd."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from roadworthy.core.measure import Claim, Measurement
from roadworthy.evaluate.crowd.under_load import UnderLoad
from roadworthy.evaluate.reports.report import Rung, Spoilt
from roadworthy.evaluate.spoils import worst_levels


def waterfall(
    headline: str,
    claims: Sequence[Claim],
    lab: Sequence[Measurement],
    production: Sequence[Measurement],
    spoilt: Sequence[Spoilt],
    mixed: Spoilt | None = None,
    crowd: UnderLoad | None = None,
) -> Iterator[Rung]:
    """Claim, lab and production one after the other, what is left in a crowd, then each corruption at its worst.

    Where production has no labels, the lab spoilt in production's own mix stands in its place.
    """
    start = math.nan
    claim = next((c for c in claims if c.metric == headline), None)
    if claim:
        low, high = claim.value - claim.tolerance, claim.value + claim.tolerance
        yield Rung("claimed", "claim", Measurement(headline, claim.value, 0, low, high), start)
        start = claim.value
    in_lab, in_production = (_named(found, headline) for found in (lab, production))
    yield Rung("measured in the lab", "lab", in_lab, start)
    if mixed is not None and mixed.change.n:
        after = _named(mixed.measured, headline)
        yield Rung("the lab, as spoilt as production", "mixed", after, after.value - mixed.change.value)
    yield Rung("production as it comes", "production", in_production, in_lab.value)
    yield from _crowded(in_production, crowd)
    for worst in worst_levels(spoilt):
        after = _named(worst.measured, headline)
        name = worst.name if worst.severity == 1 else f"{worst.name} at {worst.severity:g}"
        yield Rung(name, "corruption", after, after.value - worst.change.value)


def effective(production: Measurement, crowd: UnderLoad | None) -> Measurement | None:
    """What is left in production with the largest crowd, a request without an answer counting as a wrong one.

    Production's value and the change that the crowd makes were measured on different rows; the bounds are those of
    both together, and so a little wide.
    """
    if crowd is None or not production.n or not crowd.levels[-1].change.n or crowd.metric != production.name:
        return None
    change = crowd.levels[-1].change
    bounds = (production.value + change.value, change.n, production.low + change.low, production.high + change.high)
    conditions = {"in_flight": crowd.levels[-1].in_flight, "rows_in_production": production.n}
    return Measurement(production.name, *bounds, production.unit, conditions=conditions)


def _crowded(production: Measurement, crowd: UnderLoad | None) -> Iterator[Rung]:
    left = effective(production, crowd)
    if left is None or crowd is None:
        return
    answered = crowd.levels[-1].change_answered
    if answered.n:
        low, high = production.low + answered.low, production.high + answered.high
        value = replace(left, value=production.value + answered.value, n=answered.n, low=low, high=high)
        yield Rung(f"with {crowd.levels[-1].in_flight} in flight", "under load", value, production.value)
    yield Rung("effective, failures counted", "effective", left, production.value)


def _named(found: Sequence[Measurement], name: str) -> Measurement:
    return next(m for m in found if m.name == name)
