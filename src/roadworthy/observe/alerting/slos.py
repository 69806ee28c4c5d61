"""Service level objectives: the rules that watch them, and how much of their error budget is left."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Slo
from roadworthy.core.stats import nothing, proportion
from roadworthy.observe.counts.rollups import Series
from roadworthy.observe.rules.burn_rate import PAGE, TICKET, BurnRate

DAY = 86_400.0


class Budget(Struct, frozen=True):
    """How an objective stands: the share of good requests, and the share of its error budget that is `left`.

    `left` is below 0 once the budget is overspent.
    """

    slo: Slo
    good: Measurement
    left: Measurement


def rules_of(slo: Slo) -> tuple[BurnRate, BurnRate]:
    """What pages when the budget burns fast, and what leaves a ticket when it burns slowly."""
    given = (slo.name, slo.at_least, slo.within_ms, slo.where)
    return BurnRate(*given, severity="page", windows=PAGE), BurnRate(*given, severity="ticket", windows=TICKET)


def budget(slo: Slo, series: Series, now: float) -> Budget:
    """What is left of the error budget of the last `slo.days`, with Wilson's interval."""
    page, _ = rules_of(slo)
    rows = series.within(now - slo.days * DAY, now)
    bad, total = round(float(page.bad(series)[rows].sum())), round(float(page.total(series)[rows].sum()))
    where = f"slo={slo.name}"
    if not total:
        return Budget(slo, nothing("good_share", where=where), nothing("budget_left", where=where))
    good = proportion("good_share", total - bad, total, where)
    spent = 1 - slo.at_least
    left, low, high = (1 - (1 - share) / spent for share in (good.value, good.low, good.high))
    return Budget(slo, good, replace(good, name="budget_left", value=left, low=low, high=high))


def budgets_text(budgets: Sequence[Budget]) -> str:
    """A line for each objective."""
    if not budgets:
        return "no objectives: write `slos:` under `monitor:` in roadworthy.yaml"
    return "\n".join(_line(each) for each in budgets)


def _line(each: Budget) -> str:
    slo, left = each.slo, each.left
    what = f"{slo.at_least:.4g} answered" + (f" within {slo.within_ms:g} ms" if slo.within_ms else "")
    where = f" on {slo.where}" if slo.where else ""
    if not left.n:
        return f"{slo.name:<20} {what}{where}: no requests in {slo.days:g} days"
    bounds = f"[{left.low:.0%}, {left.high:.0%}]"
    return f"{slo.name:<20} {what}{where}: {each.good.value:.4%} good, {left.value:.0%} {bounds} of the budget is left"
