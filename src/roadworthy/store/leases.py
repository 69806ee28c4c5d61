"""Leases: who may act alone for a while. Whoever dies loses his when its time is over, and is found out by his turn.

A clock only says when somebody else may take over. What keeps two from acting at once is the turn: whoever writes asks
in the same transaction whether his still stands.
"""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.dialects import postgresql, sqlite

from roadworthy.store.metadata import leases

# Nobody takes one for longer. A lease that ends later was taken on a clock that was wrong, and binds nobody.
LONGEST_SECONDS = 3600.0


class Lease(Struct, frozen=True):
    """`holder` may act alone as `name` until `until` (Unix seconds); `turn` grows with every change of hands."""

    name: str
    holder: str
    until: float
    turn: int


def take(engine: Engine, name: str, holder: str, now: float, seconds: float) -> Lease | None:
    """The lease for so many seconds from `now`, or None while another holder has it. One's own is renewed."""
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError(f"`seconds` of a lease must be above 0 and at most {LONGEST_SECONDS:g}, got {seconds!r}")
    with engine.begin() as connection:
        _make(connection, name)
        row = connection.execute(select(leases).where(leases.c.name == name).with_for_update()).one()
        if row.holder != holder and now < row.until <= now + LONGEST_SECONDS:
            return None
        lease = Lease(name, holder, now + seconds, row.turn + (row.holder != holder))
        held = update(leases).where(leases.c.name == name)
        connection.execute(held.values(holder=holder, until=lease.until, turn=lease.turn))
    return lease


def stands(connection: Connection, lease: Lease) -> bool:
    """Whether nobody has taken it over; if so nobody can until the transaction ends."""
    held = select(leases.c.holder, leases.c.turn).where(leases.c.name == lease.name)
    row = connection.execute(held.with_for_update()).first()
    return row is not None and (row.holder, row.turn) == (lease.holder, lease.turn)


def give_back(engine: Engine, lease: Lease) -> None:
    """Let the next one take it at once; nothing where somebody else has it by now."""
    mine = (leases.c.name == lease.name) & (leases.c.holder == lease.holder) & (leases.c.turn == lease.turn)
    with engine.begin() as connection:
        connection.execute(update(leases).where(mine).values(until=0.0))


def _make(connection: Connection, name: str) -> None:
    """A row that nobody holds, where there is none: a row that is there can be locked."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = insert(leases).values(name=name, holder="", until=0.0, turn=0)
    connection.execute(row.on_conflict_do_nothing(index_elements=["name"]))
