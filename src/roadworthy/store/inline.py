"""Writes rows on the thread that brings them, where that is quicker than waking the writer's thread for them.

To hand a group over and be told of it costs two threads more than to write it: they fight for the interpreter's lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock

from msgspec.structs import replace

from roadworthy.store.writer import Group, Insert, Row, Writer

# After so many rows the writer's thread gets two groups: with the first it moves the write-ahead log into the database,
# with the second it begins that log anew. Both wait for the disk, which nobody in an event loop should.
ROWS_BETWEEN_CHECKPOINTS = 4000
GROUPS_OF_A_CHECKPOINT = 2


class Inline:
    """Stands before a Writer: `put` writes at once while nobody else does, and leaves to the writer what that refuses.

    `connect` gives a connection that never waits, neither for a lock nor for the disk; with `sync` the writer's thread
    syncs the disk before a group counts as written.
    """

    def __init__(
        self,
        writer: Writer,
        connect: Callable[[], sqlite3.Connection],
        insert_through: Callable[[sqlite3.Connection], Insert],
        sync: bool,
    ) -> None:
        self._writer, self._connect, self._insert_through, self._sync = writer, connect, insert_through, sync
        self._alone = Lock()
        self._connection: sqlite3.Connection | None = None
        self._insert: Insert | None = None
        self._rows = self._left_to_writer = 0
        self._closed = False

    def put(self, group: Group) -> bool:
        """True: the group is on disk, and its `then` will not be called. False: it is under way as with a Writer."""
        written = self._write(group.rows)
        if written and not self._sync:
            return True
        self._writer.put(replace(group, written=True) if written else group)
        return False

    def close(self) -> None:
        """Let go of the connection; what is put from now on is the writer's."""
        with self._alone:
            self._drop()
            self._closed = True

    def _write(self, rows: Sequence[Row]) -> bool:
        if self._writer.busy or not self._alone.acquire(blocking=False):
            return False
        try:
            return self._may_write(len(rows)) and self._try(rows)
        finally:
            self._alone.release()

    def _may_write(self, rows: int) -> bool:
        self._rows += rows
        if self._rows >= ROWS_BETWEEN_CHECKPOINTS:
            self._rows, self._left_to_writer = 0, GROUPS_OF_A_CHECKPOINT
        if self._left_to_writer:
            self._left_to_writer -= 1
            return False
        return not self._closed

    def _try(self, rows: Sequence[Row]) -> bool:
        """Whatever fails here, a lock that another process holds or a full disk, the writer tries again and tells."""
        try:
            if self._insert is None:
                self._connection = self._connect()
                self._insert = self._insert_through(self._connection)
            self._insert(rows)
        except Exception:
            self._drop()
            return False
        return True

    def _drop(self) -> None:
        broken, self._connection, self._insert = self._connection, None, None
        if broken is not None:
            with suppress(sqlite3.Error):
                broken.close()
