"""One thread that commits in groups what many callers hand in, so that a caller pays microseconds.

It does not know what a row means: callers hand in a function that makes things, and `rows_of` makes rows of them.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from roadworthy.store.files import StoreError, sentence

Row = tuple[Any, ...]
# What makes the things to write, the loop that waits for it (None: a plain thread does), and what it waits on.
Item = tuple[Callable[[], Iterable[Any]], asyncio.AbstractEventLoop | None, "asyncio.Future[None] | Future[None]"]

MOST_ROWS = 2000


class Writer:
    """Runs `insert` (SQL) over the rows of each item; an item's rows are committed together or not at all."""

    def __init__(
        self,
        path: Path,
        connect: Callable[[], sqlite3.Connection],
        insert: str,
        rows_of: Callable[[Iterable[Any]], Sequence[Row]],
    ) -> None:
        self.path = path
        self._connect = connect
        self._insert = insert
        self._rows_of = rows_of
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self.put = self._queue.put
        self._closing = False
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name=f"writer of {path.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Commit what is queued and end the thread; what is handed in during that fails with a sentence."""
        self._queue.put(None)
        self._thread.join()
        _settle(self._waiting(), f"`{self.path}` is closed: the record was not written")
        self._drop_connection()

    def _run(self) -> None:
        while not self._closing:
            first = self._pull(wait=True)
            if first is not None:
                self._write_group(first)

    def _write_group(self, first: Item) -> None:
        group = [first]
        try:
            self._commit(group)
        # Whatever it is, it must reach the callers: a writer that dies would leave all of them waiting for ever.
        except Exception as error:
            self._drop_connection()
            # All that waits fails with it: one busy timeout a group, never one a caller.
            group += self._waiting()
            why = sentence(self.path, error) if isinstance(error, sqlite3.Error) else f"`{self.path}`: {error!r}"
            _settle(group, f"not recorded: {why}")
        else:
            _settle(group)

    def _commit(self, group: list[Item]) -> None:
        """Write one group in one transaction; `group` begins with its first item, and gathers the others."""
        if self._connection is None:
            self._connection = self._connect()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(self._insert, self._rows(group))
        self._connection.execute("COMMIT")

    def _rows(self, group: list[Item]) -> Iterator[Row]:
        """The rows of the group, pulled from the queue while they are inserted, so that late comers still catch it."""
        item: Item | None = group.pop()
        count = 0
        while item is not None:
            # An item's rows are complete before the first is inserted: a fault in its maker is that item's alone.
            try:
                made = self._rows_of(item[0]())
            except Exception as fault:
                _call(item[1], _refuse, item[2], fault)
            else:
                group.append(item)
                count += len(made)
                yield from made
            item = self._pull(wait=False) if count < MOST_ROWS else None

    def _pull(self, wait: bool) -> Item | None:
        """The next item; None when there is none, or when the queue says that this is the end."""
        try:
            item = self._queue.get(wait)
        except Empty:
            return None
        self._closing = item is None
        return item

    def _waiting(self) -> list[Item]:
        found = []
        while (item := self._pull(wait=False)) is not None:
            found.append(item)
        return found

    def _drop_connection(self) -> None:
        """Let go of the connection with its open transaction; the next group opens a new one."""
        broken, self._connection = self._connection, None
        if broken is not None:
            # The checkpoint that closing tries may fail on the same full disk; the log itself is untouched by that.
            with suppress(sqlite3.Error):
                broken.close()


def _settle(group: list[Item], failure: str | None = None) -> None:
    """Answer the futures of a group, with one call into each event loop that waits for some of them."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[Any]] = defaultdict(list)
    for _, loop, future in group:
        by_loop[loop].append(future)
    for loop, futures in by_loop.items():
        _call(loop, _answer, futures, failure)


def _call(loop: asyncio.AbstractEventLoop | None, function: Callable[..., None], *given: Any) -> None:
    if loop is None:
        function(*given)
        return
    # RuntimeError: the loop was closed, so that nobody waits any more; what was committed stays committed.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *given)


def _answer(futures: list[Any], failure: str | None) -> None:
    for future in futures:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(StoreError(failure))


def _refuse(future: Any, fault: Exception) -> None:
    if not future.done():
        future.set_exception(fault)
