"""Which records a reader asks for, said to SQLite and to polars alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from roadworthy.core.wire import Arm
from roadworthy.store.rows import KINDS

if TYPE_CHECKING:
    import polars as pl


class Wanted(Struct, frozen=True):
    """Records with `since` <= at < `until` which came into the log after a position and up to another, and so on."""

    since: float | None = None
    until: float | None = None
    release: str | None = None
    arms: Collection[Arm] | None = None
    ids: Collection[str] | None = None
    after: int | None = None
    upto: int | None = None

    def where(self, mark: int = 0, doubles: Sequence[int] = ()) -> tuple[str, list[Any]]:
        """The WHERE clause over `records` and its parameters; rows up to the mark, and doubles, are left out."""
        chosen = [
            ("records.at >= ?", self.since),
            ("records.at < ?", self.until),
            ("release = (SELECT number FROM releases WHERE digest = ?)", self.release),
            ("kind IN (SELECT value FROM json_each(?))", _listed(self._kinds())),
            ("records.id IN (SELECT value FROM json_each(?))", _listed(self.ids)),
            ("seq > ?", self.after),
            ("seq <= ?", self.upto),
            ("+kind >= ?", 0),  # the newest row, emptied when its time was over, is no record
            # With the sign SQLite does not think of walking over all rows that came later.
            ("+seq > ?", mark or None),
            ("+seq NOT IN (SELECT value FROM json_each(?))", _listed(doubles or None)),
        ]
        kept = [(clause, value) for clause, value in chosen if value is not None]
        where = " AND ".join(clause for clause, _ in kept)
        return (f" WHERE {where}" if where else ""), [value for _, value in kept]

    def mask(self) -> list[pl.Expr]:
        """What polars keeps of a segment's rows; empty where that is all of them."""
        import polars as pl

        masks: list[pl.Expr] = []
        if self.since is not None:
            masks.append(pl.col("at") >= self.since)
        if self.until is not None:
            masks.append(pl.col("at") < self.until)
        if self.release is not None:
            masks.append(pl.col("release") == self.release)
        if self.arms is not None:
            masks.append(pl.col("arm").is_in(list(self.arms)))
        if self.ids is not None:
            masks.append(pl.col("id").is_in(list(self.ids)))
        if self.after is not None:
            masks.append(pl.col("seq") > self.after)
        if self.upto is not None:
            masks.append(pl.col("seq") <= self.upto)
        return masks

    def _kinds(self) -> list[int] | None:
        return None if self.arms is None else [kind for (arm, _), kind in KINDS.items() if arm in self.arms]


def _listed(values: Collection[Any] | None) -> str | None:
    return None if values is None else msgspec.json.encode(list(values)).decode()
