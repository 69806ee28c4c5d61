"""Bookmarks: how far each reader of the record log has come, and when it was last there."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects import postgresql, sqlite

from roadworthy.store.metadata import bookmarks


class Bookmark(Struct, frozen=True):
    """`position` is one of the record log; `at` (Unix seconds) is when the reader was there."""

    position: int
    at: float


def read_bookmark(engine: Engine, name: str) -> Bookmark | None:
    """Where the reader of this name has come to; None for one that never was here."""
    chosen = select(bookmarks.c.position, bookmarks.c.at).where(bookmarks.c.name == name)
    with engine.execution_options(reading=True).connect() as connection:
        found = connection.execute(chosen).first()
    return None if found is None else Bookmark(int(found.position), float(found.at))


def move_bookmark(connection: Connection, name: str, position: int, at: float) -> None:
    """Put the bookmark there, in the transaction of whatever was done up to there: both happen, or neither."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    moved = {"position": position, "at": at}
    row = insert(bookmarks).values(name=name, **moved)
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=moved))
