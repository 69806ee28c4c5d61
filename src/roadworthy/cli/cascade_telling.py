"""What became of a table that a cascade answered, as plain data and in words."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from roadworthy.core.measure import Measurement, Verdict, judge
from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.tally import Tally


class TableAnswered(Struct, frozen=True):
    """`asked` rows by member and their `usd`; `usd_last_alone` is what the last one would have cost for all of them.

    `reached` are bounds: what all answered rows reach at least, with the confidence of the promise. `sent_on` counts
    the rows that were labelled to show it, too. `failed` rows have no answer, with their `reasons`, the commonest
    first. `drifts` are parts in which scores and answers had drifted apart.
    """

    rows: int
    failed: int
    resumed_at: int
    output: str
    promised: Target
    reached: tuple[Verdict, ...]
    sent_on: Measurement
    asked: Mapping[str, int]
    usd: Mapping[str, float]
    usd_last_alone: float
    parts: int
    drifts: int
    reasons: Mapping[str, int]


def verdicts_of(tally: Tally, promised: Target, whole: bool) -> tuple[Verdict, ...]:
    """What is reached at least, against what was promised; of a whole table that is known only to be no less."""
    sure = {"confidence": round(1 - promised.delta, 9), "looks": "any number"}
    found = []
    lows = tuple(promised.stated.values()) if whole else tally.reached(promised)
    for required, low in zip(promised.requirements, lows, strict=True):
        found.append(judge(Measurement(required.metric, low, tally.rows, low, 1.0, conditions=sure), required))
    return tuple(found)


def table_text(told: TableAnswered) -> str:
    """The summary in lines for people."""
    lines = [f"{told.rows:,} rows into {told.output}, {told.failed:,} without an answer"]
    if told.resumed_at:
        lines.append(f"the first {told.resumed_at:,} were there already")
    lines += [f"  {n:,} times {reason}" for reason, n in list(told.reasons.items())[:5]]
    lines.append(f"promised: {told.promised.words}")
    lines += [f"  {verdict.of} is at least {verdict.evidence[0].low:.4f}" for verdict in told.reached]
    lines.append(f"sent on: {told.sent_on.value:.1%} of rows, those that were labelled to show it among them")
    lines.append(_asked(told))
    if told.sent_on.n and told.sent_on.value == 1:
        lines.append(
            f"every row was sent on: {told.sent_on.n:,} rows do not show the promise for any cheap answer. A longer "
            f"table, a lower promise or a greater --delta would; `roadworthy cascade fit` measures the members"
        )
    if told.drifts:
        lines.append(f"scores and answers drifted apart in {told.drifts} of {told.parts} parts; the promise holds")
    return "\n".join(lines)


def _asked(told: TableAnswered) -> str:
    """Who was asked how often, and the bill."""
    asked = ", ".join(f"{name} {n:,} times" for name, n in told.asked.items())
    if not told.usd_last_alone:
        return f"asked: {asked} (no `usd_per_1k` of the last member, so nothing is billed)"
    spent, alone = sum(told.usd.values()), told.usd_last_alone
    parts = " + ".join(f"{usd:.4g} for {name}" for name, usd in told.usd.items())
    compared = f"{1 - spent / alone:.1%} less" if spent <= alone else f"{spent / alone - 1:.1%} MORE"
    return (
        f"asked: {asked}\ncost: {spent:.4g} USD ({parts}), {compared} than {alone:.4g} for the last one about every row"
    )
