"""A Bill lists what one recorded row was charged for: every call on its way, answered or not."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from itertools import groupby
from typing import NamedTuple

from msgspec.structs import replace

from roadworthy.core.charges import Purpose, chances_of, purposes
from roadworthy.core.record import Record
from roadworthy.core.wire import Step

_ROW = re.compile(r"\.\d+$")


class Item(NamedTuple):
    """One call: who was asked, for what, and this row's share of its cost and time. An unknown cost is NaN."""

    at: str
    purpose: Purpose
    usd: float
    seconds: float


class Bill(NamedTuple):
    """One row: the request that it came with, its items, what it cost in all, and the chances that were drawn.

    `usd` is NaN where nobody knows. `retries` counts failed calls after which the same member was asked again.
    """

    record: Record
    request: str
    items: tuple[Item, ...]
    usd: float
    retries: int
    chances: dict[str, float] | None

    def usd_of(self, purpose: Purpose, at: str = "") -> float:
        """What the row was charged for one purpose, by one member or by all; unknown costs count nothing."""
        return sum(
            item.usd for item in self.items if item.purpose == purpose and at in ("", item.at) and item.usd == item.usd
        )

    def has(self, at: str, *purposes: Purpose) -> bool:
        """Was this member asked for any of these purposes?"""
        return any(item.at == at and item.purpose in purposes for item in self.items)


def bills(records: Sequence[Record], members: Collection[str]) -> list[Bill]:
    """A bill for each answered or failed row, in the order of the records' requests.

    What a path tells in common of all rows of a request is shared out evenly (`Response.row_usd`); what the row paid
    beyond its steps is an item "other".
    """
    served = [record for record in records if record.arm != "shadow"]
    order = {request: place for place, request in enumerate(dict.fromkeys(map(request_of, served)))}
    ordered = sorted(served, key=lambda record: order[request_of(record)])
    return [
        bill for request, rows in groupby(ordered, request_of) for bill in _of_request(request, list(rows), members)
    ]


def request_of(record: Record) -> str:
    """The id of the request that a row came with."""
    return _ROW.sub("", record.id)


def _of_request(request: str, rows: Sequence[Record], members: Collection[str]) -> list[Bill]:
    common = _common([row.path for row in rows]) if len(rows) > 1 else 0
    return [_bill(request, row, _own(row, common, len(rows)), members) for row in rows]


def _common(paths: Sequence[tuple[Step, ...]]) -> int:
    """How many steps all rows begin with."""
    count = 0
    for steps in zip(*paths, strict=False):
        if any(step != steps[0] for step in steps):
            break
        count += 1
    return count


def _own(row: Record, common: int, rows: int) -> tuple[Step, ...]:
    """The row's steps with its own share of what all rows went through together.

    Steps that happen to be alike may be each row's own: the reading that is nearer to what the row cost is taken.
    """
    if not common:
        return row.path
    shared = (*(_part(step, rows) for step in row.path[:common]), *row.path[common:])
    if row.usd is None:
        return shared
    off = [abs(row.usd - sum(step.usd or 0.0 for step in path)) for path in (shared, row.path)]
    return shared if off[0] <= off[1] else row.path


def _part(step: Step, rows: int) -> Step:
    usd = None if step.usd is None else step.usd / rows
    return replace(step, usd=usd, seconds=None if step.seconds is None else step.seconds / rows)


def _bill(request: str, record: Record, path: tuple[Step, ...], members: Collection[str]) -> Bill:
    said = purposes(path, members)
    items = [
        Item(step.at, purpose, math.nan if step.usd is None else step.usd, step.seconds or 0.0)
        for step, purpose in zip(path, said, strict=True)
    ]
    known = [item.usd for item in items if item.usd == item.usd]
    usd = record.usd if record.usd is not None else (sum(known) if known else math.nan)
    rest = usd - sum(known)
    # Sums of floats differ by a rounding error, which nobody paid.
    if rest > 1e-9 * max(usd, 1e-12):
        items.append(Item("", "other", rest, 0.0))
    asked = [(step.at, purpose) for step, purpose in zip(path, said, strict=True) if step.at in members]
    retries = sum(
        purpose == "failed" and any(at == later for later, _ in asked[place + 1 :])
        for place, (at, purpose) in enumerate(asked)
    )
    return Bill(record, request, tuple(items), usd, retries, chances_of(path))
