"""Audits: some answers that a cascade kept are asked of the last level too, so that its promise can be watched.

The words of the step are written and read here, so that whoever has only records can count what the audit found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from roadworthy.core.record import Record
from roadworthy.core.wire import Step

_WORDS = re.compile(r"audit drawn at (?P<share>[0-9.e+-]+): (?P<found>agrees|differs)")


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


def audits_in(records: Iterable[Record]) -> list[Audited]:
    """The audits that records tell of, in their order."""
    found = []
    for record in records:
        for before, step in zip(record.path, record.path[1:], strict=False):
            words = _WORDS.match(step.because)
            if words:
                agrees, share = words["found"] == "agrees", float(words["share"])
                found.append(Audited(record.id, before.at, step.at, agrees, share))
    return found
