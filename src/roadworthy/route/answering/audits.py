"""Audits: some answers that a cascade kept are asked of the last level too, so that its promise can be watched.

The words of the step are written and read here, so that whoever has only records can count what the audit found.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterable
from typing import Any, NamedTuple

from msgspec import Struct

from roadworthy.core.record import Record
from roadworthy.core.wire import Step

_WORDS = re.compile(
    r"audit drawn at (?P<share>[0-9.e+-]+): (?P<found>agrees|differs)(?:, with (?P<theirs>.+?) where .+ was kept)?"
)


class Audited(Struct, frozen=True):
    """A kept answer that the last level was asked about too: `id` of the row, by whom it was kept, did they agree?

    `propensity` is the probability with which a kept row was drawn: 1 / propensity rows are spoken for by this one.
    """

    id: str
    at: str
    last: str
    agrees: bool
    propensity: float


def audit_step(last: str, share: float, mine: Any, theirs: Any, usd: float | None, seconds: float) -> Step:
    """The stop that tells of an audit."""
    found = "agrees" if mine == theirs else f"differs, with {theirs!r} where {mine!r} was kept"
    return Step(last, f"audit drawn at {share:g}: {found}", usd, seconds)


class Found(NamedTuple):
    """What one audit found: does the last model agree, what did it say where not, and how likely was the draw?"""

    agrees: bool
    theirs: str
    share: float


def audited_step(because: str) -> Found | None:
    """What the step of an audit tells; None for any other step, an audit that was not answered among them."""
    words = _WORDS.match(because)
    if words is None:
        return None
    theirs = words["theirs"] or ""
    if theirs[:1] in ("'", '"'):
        theirs = str(literal_eval(theirs))
    return Found(words["found"] == "agrees", theirs, float(words["share"]))


def audits_in(records: Iterable[Record]) -> list[Audited]:
    """The audits that records tell of, in their order."""
    found = []
    for record in records:
        for before, step in zip(record.path, record.path[1:], strict=False):
            audit = audited_step(step.because)
            if audit is not None:
                found.append(Audited(record.id, before.at, step.at, audit.agrees, audit.share))
    return found
