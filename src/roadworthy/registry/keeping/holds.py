"""Holds: a release that somebody needs is kept, whatever a collection of garbage finds, until the hold is lifted."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Connection, Table, insert, select, update

from roadworthy.core.errors import Missing, SpecError


class ReleaseHold(Struct, frozen=True):
    """The release, and what it was made from, stays until the hold is lifted (None: it stands)."""

    seq: int
    digest: str
    at: float
    by: str
    why: str
    lifted_at: float | None = None


def hold(connection: Connection, table: Table, digest: str, at: float, by: str, why: str) -> ReleaseHold:
    """Write a hold down; several may stand on one release."""
    if not by or not why:
        raise SpecError(f"a hold names who asks for it and why, got by={by!r} and why={why!r}")
    row = insert(table).values(digest=digest, at=at, by=by, why=why).returning(table.c.seq)
    return ReleaseHold(connection.execute(row).scalar_one(), digest, at, by, why)


def lift(connection: Connection, table: Table, seq: int, at: float) -> ReleaseHold:
    """End a hold. Raises Missing where none of that number stands."""
    mine = (table.c.seq == seq) & table.c.lifted_at.is_(None)
    if not connection.execute(update(table).where(mine).values(lifted_at=at)).rowcount:
        standing = ", ".join(str(known.seq) for known in holds(connection, table))
        raise Missing(f"no hold {seq!r} on a release stands (standing: {standing or 'none'})")
    return next(known for known in holds(connection, table, lifted=True) if known.seq == seq)


def holds(connection: Connection, table: Table, lifted: bool = False) -> list[ReleaseHold]:
    """The holds that stand, and with `lifted` those that were lifted too, oldest first."""
    chosen = select(table).order_by(table.c.seq)
    rows = connection.execute(chosen if lifted else chosen.where(table.c.lifted_at.is_(None)))
    return [ReleaseHold(**row._mapping) for row in rows]
