"""One thread that commits what others hand in: all that waits when the disk becomes free, in one transaction.

It does not know what a row means.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from msgspec import Struct

from roadworthy.store.files import StoreError, sentence, sync_log
from roadworthy.store.full_disk import Overflow, is_full

Row = tuple[Any, ...]
Insert = Callable[[Sequence[Row]], None]

MOST_ROWS = 2000


class Group(Struct, frozen=True):
    """Rows that are committed together or not at all; `then` is told why not (None: they are), on any thread.

    With `written` they are committed, and only the disk is still to be synced.
    """

    rows: Sequence[Row]
    then: Callable[[str | None], None]
    written: bool = False


class Writer:
    """Has rows written by what `insert_through` makes of a new connection: all of them in one transaction."""

    def __init__(
        self,
        path: Path,
        connect: Callable[[], sqlite3.Connection],
        insert_through: Callable[[sqlite3.Connection], Insert],
        overflow: Overflow | None = None,
    ) -> None:
        self.path = path
        self._overflow = overflow
        self._connect = connect
        self._insert_through = insert_through
        self._queue: SimpleQueue[Group | None] = SimpleQueue()
        self._closing = self._closed = self._committing = False
        self._connection: sqlite3.Connection | None = None
        self._insert: Insert | None = None
        self._thread = threading.Thread(target=self._run, name=f"writer of {path.name}", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Is a commit under way, or about to be? What waits for room goes first."""
        waits = self._overflow is not None and self._overflow.waiting
        return self._committing or waits or not self._queue.empty()

    def put(self, group: Group) -> None:
        """Have a group written; after `close` it is refused with a sentence."""
        self._queue.put(group)
        if self._closed:
            self._refuse_late()

    def write(self, rows: Sequence[Row]) -> None:
        """Write and wait for it; for threads without an event loop. Raises StoreError."""
        written: Future[str | None] = Future()
        self.put(Group(rows, written.set_result))
        failure = written.result()
        if failure is not None:
            raise StoreError(failure)

    def close(self) -> None:
        """Commit what is queued and end the thread; what is handed in during that fails with a sentence."""
        self._queue.put(None)
        self._thread.join()
        self._closed = True
        self._refuse_late()
        self._give_back_at_last()
        self._drop_connection()

    def _run(self) -> None:
        while not self._closing:
            first = self._pull(wait=True)
            if first is not None:
                self._write_groups([first, *self._waiting(MOST_ROWS - len(first.rows))])

    def _write_groups(self, groups: list[Group]) -> None:
        self._committing = not all(group.written for group in groups)
        try:
            if self._goes_aside(groups):
                return
            self._commit(groups)
        # Whatever it is, it must reach the callers: a writer that dies would leave all of them waiting for ever.
        except Exception as error:
            self._drop_connection()
            # All that waits fails with it: one busy timeout a turn, never one a caller.
            groups += self._waiting()
            why = sentence(self.path, error) if isinstance(error, sqlite3.Error) else f"`{self.path}`: {error!r}"
            # What is written already, and only not synced, nobody can answer for.
            full = is_full(error)
            aside = [group for group in groups if full and not group.written]
            _tell([group for group in groups if not full or group.written], f"not recorded: {why}")
            if aside:
                _tell(aside, self._take(aside, why))
        else:
            _tell(groups, None)
        finally:
            self._committing = False

    def _goes_aside(self, groups: list[Group]) -> bool:
        """While rows wait for room, others join them, and the disk is tried again only now and then."""
        aside = self._overflow is not None and self._overflow.waiting and not self._overflow.due
        if not aside or any(group.written for group in groups):
            return False
        _tell(groups, self._take(groups, f"`{self.path}`: the disk was full a moment ago"))
        return True

    def _take(self, groups: Sequence[Group], why: str) -> str | None:
        """Why the groups are not recorded; None where somebody answers for them."""
        if self._overflow is None:
            return f"not recorded: {why}"
        try:
            self._overflow.take([row for group in groups for row in group.rows], why)
        except OSError as error:
            return f"not recorded: {why}; and not spilled: {error}"
        return None

    def _commit(self, groups: Sequence[Group]) -> None:
        if self._connection is None or self._insert is None:
            self._connection = self._connect()
            self._insert = self._insert_through(self._connection)
        if self._overflow is not None and self._overflow.waiting:
            self._overflow.give_back(self._connection, self._insert)
        rows = [row for group in groups if not group.written for row in group.rows]
        if rows:
            # Where this connection syncs, it syncs the log from its beginning, and so what others wrote to it.
            self._insert(rows)
        elif any(group.written for group in groups):
            sync_log(self.path)

    def _give_back_at_last(self) -> None:
        """What is still aside goes to the log, or stays where the next process finds it."""
        if self._overflow is None:
            return
        with suppress(sqlite3.Error, OSError):
            if self._overflow.waiting:
                self._commit([])
        self._overflow.close()

    def _pull(self, wait: bool) -> Group | None:
        """The next group; None when there is none, or when the queue says that this is the end."""
        try:
            group = self._queue.get(wait)
        except Empty:
            return None
        self._closing = self._closing or group is None
        return group

    def _waiting(self, most_rows: float = math.inf) -> list[Group]:
        found: list[Group] = []
        while most_rows > 0 and (group := self._pull(wait=False)) is not None:
            found.append(group)
            most_rows -= len(group.rows)
        return found

    def _refuse_late(self) -> None:
        _tell(self._waiting(), f"`{self.path}` is closed: the record was not written")

    def _drop_connection(self) -> None:
        """Let go of the connection with its open transaction; the next group opens a new one."""
        broken, self._connection, self._insert = self._connection, None, None
        if broken is not None:
            # The checkpoint that closing tries may fail on the same full disk; the log itself is untouched by that.
            with suppress(sqlite3.Error):
                broken.close()


def _tell(groups: Iterable[Group], failure: str | None) -> None:
    for group in groups:
        group.then(failure)
