"""Who answered says which of several models answered which rows, how right it was on them, and what they cost.

It reads the ways of the rows (`core/charges.py` says what a step was for) and knows no policy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.charges import AUDIT, ROUTER, STANDS, VERIFIER, purposes
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean, nothing, proportion
from roadworthy.core.wire import Step
from roadworthy.evaluate.certainty.certainty import Where
from roadworthy.evaluate.told import ABSTAIN, Told

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Way = tuple[Step, ...]

FALLBACK = "fallback"
# What a requirement may be about.
FIGURES = ("answered_share", "escalation_share", "unconfirmed_share", "audit_agreement", "usd_per_row")
# How a fallback tells that it answered: for rows left to it, or for a model that failed.
_INSTEAD = re.compile(r" answers(,| in its place)")
_NO_MODEL = (ROUTER, VERIFIER, ABSTAIN, FALLBACK)


class Answerer(Struct, frozen=True):
    """One of the models: its share of the answers, their metrics, and what the rows cost in US dollars, all told."""

    name: str
    share: Measurement
    measured: tuple[Measurement, ...]
    usd_per_row: Measurement


class WhoAnswered(Struct, frozen=True):
    """The rows of one table by who answered them, the cheapest model first; `rows` tell who it was.

    `escalation` is the share for which more than the cheapest was asked, `unconfirmed` the share of answers that stood
    because nobody else could be asked. `agreement` is how often the dear model, asked beside by an audit, decides as a
    cheaper one did whose answer was good enough. `unpriced` models do not tell what they cost; `unsaid` tells what
    could not be measured, and why.
    """

    where: Where
    rows: int
    members: tuple[Answerer, ...]
    escalation: Measurement
    unconfirmed: Measurement
    agreement: Measurement
    usd_per_row: Measurement
    unpriced: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()

    @property
    def figures(self) -> tuple[Measurement, ...]:
        """Every number that may be required or compared; each name comes once for a place (`where`)."""
        each = [m for one in self.members for m in (one.share, one.usd_per_row, *one.measured)]
        return (self.escalation, self.unconfirmed, self.agreement, self.usd_per_row, *each)


def who_answered(
    where: Where,
    told: Told,
    answered: Mask,
    measure: Callable[[Mask, str], tuple[Measurement, ...]],
    members: Sequence[str] = (),
    same: Floats | None = None,
) -> WhoAnswered | None:
    """The rows by who answered them; None where the ways tell of no model, as of one alone.

    An answer that was withheld counts, for it was given and paid for; `answered` (n,) are the rows that a caller has an
    answer to. `members` are the models, the cheapest first; where they are not given they are read off the ways.
    `measure` gives the metrics of some of the rows, for a place of that name. `same` (n,) is 1 where two models that
    were both asked decide alike, 0 where they do not and NaN where one was asked.
    """
    if told.ways is None:
        return None
    ways: list[Way] = told.ways.tolist()
    names = tuple(members) or members_in(ways)
    by = np.array([answerer(way, names) for way in ways], dtype=object)
    known = by != ""
    if not known.any():
        return None
    usd = np.full(len(ways), np.nan) if told.usd is None else told.usd
    stops = [way for way, there in zip(ways, known, strict=True) if there]
    audits = _audits(ways, np.full(len(ways), np.nan) if same is None else same, names)
    others = [FALLBACK] if FALLBACK in by else []
    n, sent = len(stops), sum(any(goes_on(way, names)) for way in stops)
    # Models that were never asked are not on the ways: of one that is, nobody can say that it was the cheapest.
    escalation = proportion("escalation_share", sent, n) if len(names) > 1 else nothing("escalation_share")
    stood = sum(any(STANDS in step.because for step in way) for way in stops)
    return WhoAnswered(
        where,
        n,
        tuple(_answerer(name, by == name, n, usd, measure) for name in (*names, *others)),
        escalation,
        proportion("unconfirmed_share", stood, n),
        proportion("audit_agreement", sum(audits), len(audits)),
        _dollars(usd[known]),
        tuple(name for name in names if _is_unpriced(name, stops)),
        tuple(_unsaid(names, audits, usd[known], int((answered & ~known).sum()))),
    )


def members_in(ways: Sequence[Way]) -> tuple[str, ...]:
    """The stops that took time or money: the models, the cheapest first where each tells its price.

    Else they stand as the ways name them; who knows the order gives the names.
    """
    prices: dict[str, list[float]] = {}
    for way in ways:
        for step in way:
            if step.at not in _NO_MODEL and (step.usd is not None or step.seconds is not None):
                prices.setdefault(step.at, []).extend([] if step.usd is None else [step.usd])
    if not all(prices.values()):
        return tuple(prices)
    return tuple(sorted(prices, key=lambda name: float(np.median(prices[name]))))


def answerer(way: Way, members: Sequence[str]) -> str:
    """Whose answer a row got, "" where the way does not tell: the last model's that answered, or the fallback's.

    Where a router asked two to compare them, the dearer one's answer is given.
    """
    if any(step.at == FALLBACK and _INSTEAD.search(step.because) for step in way):
        return FALLBACK
    said = [*zip(way, purposes(way, members), strict=True)]
    answers = [step.at for step, of in said if of in ("answer", "explored")]
    compared = [step.at for step, of in said if of == "comparison" and not step.because.startswith(AUDIT)]
    return max([answers[-1], *compared], key=members.index) if answers else ""


def goes_on(way: Way, members: Sequence[str]) -> Iterator[bool]:
    """For each stop, whether a dearer model than the first was asked for the answer there."""
    for step, of in zip(way, purposes(way, members), strict=True):
        yield of in ("answer", "explored", "tried", "failed") and step.at != members[0]


def priced(machine: Measurement | None, found: WhoAnswered | None) -> Measurement | None:
    """US dollars per 1,000 requests of one row: what the answers tell that they cost, where they do.

    The machine's own price is added where a model on the way tells none: it runs here, and is not free. Their bounds
    are joined as those of two numbers that know nothing of each other (MOVER, Zou & Donner 2008).
    """
    if found is None or not found.usd_per_row.n:
        return machine
    told, local = found.usd_per_row, machine
    parts: dict[str, Any] = {"models": f"{1000 * told.value:.3g} USD per 1,000 rows, as the answers tell"}
    if local is None or not local.n or not found.unpriced:
        local = Measurement("usd_per_1k", 0.0, 1, 0.0, 0.0, "usd")
    else:
        parts["machine"] = f"{local.value:.3g} USD per 1,000, for {', '.join(found.unpriced)}"
    below = math.hypot(1000 * (told.value - told.low), local.value - local.low)
    above = math.hypot(1000 * (told.high - told.value), local.high - local.value)
    value = 1000 * told.value + local.value
    return Measurement("usd_per_1k", value, told.n, max(0.0, value - below), value + above, "usd", conditions=parts)


def _answerer(
    name: str, rows: Mask, n: int, usd: Floats, measure: Callable[[Mask, str], tuple[Measurement, ...]]
) -> Answerer:
    share = replace(proportion("answered_share", int(rows.sum()), n), where=name)
    return Answerer(name, share, measure(rows, f"answered by {name}"), _dollars(usd[rows], f"answered by {name}"))


def _dollars(usd: Floats, where: str = "") -> Measurement:
    known = usd[~np.isnan(usd)]
    found = mean("usd_per_row", known, where, "usd")
    return replace(found, low=max(0.0, found.low)) if found.n > 1 else found


def _audits(ways: Sequence[Way], same: Floats, members: Sequence[str]) -> list[bool]:
    """Of each cheap answer that was good enough and audited: did the dear model agree?"""
    found = []
    for way, alike in zip(ways, same.tolist(), strict=True):
        found += [_agrees(step.because) for step in way if step.because.startswith(AUDIT)]
        if alike == alike and not any(goes_on(way, members)):
            found.append(alike > 0)
    return found


def _agrees(because: str) -> bool:
    return because.partition(": ")[2].startswith("agrees")


def _is_unpriced(name: str, ways: Sequence[Way]) -> bool:
    """Whether the model was asked, and never told what that cost."""
    asked = [step.usd for way in ways for step in way if step.at == name and step.seconds is not None]
    return bool(asked) and all(usd is None for usd in asked)


def _unsaid(members: Sequence[str], audits: Sequence[bool], usd: Floats, silent: int) -> Iterator[str]:
    if len(members) == 1:
        yield f"the share that was sent on: {members[0]} answered every row, and nothing tells of the other models"
    if not audits:
        yield "agreement with the dear model: no answer was audited (the setting audit of a policy draws some)"
    if np.isnan(usd).all():
        yield "US dollars a row: the models tell no prices (usd_per_1k of a member)"
    if silent:
        yield f"{silent:,} rows do not tell who answered them"
