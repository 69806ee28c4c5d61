"""The state directory: everything that happened to a project, in one place that survives `kill -9`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from sqlalchemy import URL, Connection, Engine, Table

from roadworthy.core.errors import MissingExtra, Taken
from roadworthy.core.spec import Log
from roadworthy.store import metadata as of_metadata
from roadworthy.store.addresses import address
from roadworthy.store.audit_log import audited
from roadworthy.store.blobs import Blobs
from roadworthy.store.events import put_event
from roadworthy.store.files import Durability, StoreError
from roadworthy.store.records import RecordLog

# SQLite's own, which we leave as it is.
PAGE_BYTES = 4096


@dataclass(frozen=True)
class State:
    """`engine` holds the metadata (its `tables` by name), `records` the predictions, `blobs` the files.

    Any number of processes may open one directory; one of them at a time may be the server (`lock_server`).
    """

    directory: Path
    engine: Engine
    records: RecordLog
    blobs: Blobs

    @classmethod
    def open(
        cls, directory: Path, durability: Durability = "power", log: Log | None = None, metadata: str = ""
    ) -> State:
        """Open the directory itself, made where it is missing. Raises StoreError, naming the file at fault.

        `log` says what becomes of records when the disk is full; a relative `spill` begins at the directory's parent,
        where the project file is. `metadata` is the URL of the database that holds the metadata (`store.metadata` of
        the project file, `${NAME}` in it being an environment variable); where empty, SQLite in the directory does.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # Two processes that start on a new directory: the second waits until the files are made.
            with (directory / "open.lock").open("a") as turn:
                fcntl.flock(turn, fcntl.LOCK_EX)
                return cls._open(directory, durability, log or Log(), metadata)
        except OSError as error:
            raise StoreError(f"cannot open the state directory `{directory}`: {error}") from error

    @classmethod
    def _open(cls, directory: Path, durability: Durability, log: Log, metadata: str) -> State:
        url = address(metadata, os.environ) if metadata else _beside(directory)
        try:
            engine = of_metadata.open_engine(url)
        except ModuleNotFoundError as gone:
            raise MissingExtra(f"metadata on {url.get_backend_name()}", gone.name or "psycopg", "postgresql") from gone
        try:
            spill = directory.absolute().parent / log.spill if log.spill else None
            records = RecordLog(directory / "records.db", durability, log.when_full, spill)
            return cls(directory, engine, records, Blobs(directory / "blobs"))
        except BaseException:
            engine.dispose()
            raise

    @property
    def tables(self) -> Mapping[str, Table]:
        """The tables of the metadata by name, for rooms that keep things there."""
        return of_metadata.metadata.tables

    def note_deed(self, at: float, by: str, kind: str, subject: str, data: Mapping[str, Any] | None = None) -> None:
        """Write what somebody did as an event and into the audit log, both or neither."""
        with self.engine.begin() as connection:
            put_event(connection, at, kind, subject, data)
            self.audited(connection, at, by, kind.replace("_", " "), subject, data)

    def audited(
        self,
        connection: Connection,
        at: float,
        by: str,
        action: str,
        subject: str,
        data: Mapping[str, Any] | None = None,
    ) -> str:
        """Write into the audit log that `by` did `action` to `subject`, in the transaction of the deed itself.

        Returns the hash of the entry; see `store.audit_log`.
        """
        return audited(connection, at, by, action, subject, data)

    @contextmanager
    def lock_server(self, what: str) -> Iterator[None]:
        """Be the one server of this directory for the length of a block. Raises Taken while another process is."""
        path = self.directory / "server.lock"
        with path.open("a+") as lock:
            try:
                # The kernel lets go of it when the process dies, however it dies.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as held:
                raise Taken(self._taken(lock)) from held
            lock.truncate(0)
            lock.write(f"{os.getpid()} {what}")
            lock.flush()
            yield

    def close(self) -> None:
        """Commit what is queued and let go of the files."""
        self.records.close()
        self.engine.dispose()

    def __enter__(self) -> State:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _taken(self, lock: IO[str]) -> str:
        lock.seek(0)
        pid, _, what = lock.read().partition(" ")
        return (
            f"`{self.directory}` is being served by process {pid or '(starting)'} ({what or 'unknown'});"
            " stop that one first, or serve another directory"
        )


def _beside(directory: Path) -> URL:
    """The SQLite file in the directory. Raises StoreError where it was cut in a way that SQLite would not notice."""
    file = directory / "metadata.db"
    log = file.with_name(f"{file.name}-wal")
    # What is not in the file may be in the write-ahead log, as after a kill.
    if file.exists() and not (log.exists() and log.stat().st_size):
        _check_whole(file, begun=(directory / "records.db").exists())
    return URL.create("sqlite", database=str(file))


def _check_whole(file: Path, begun: bool) -> None:
    """SQLite takes an empty file for a new database, and fills up the last page of one that was cut within it."""
    size = file.stat().st_size
    # Records are made after it: a first start that was killed leaves an empty file without them.
    if not size and begun:
        raise StoreError(
            f"`{file}` is empty although records lie beside it: it was truncated; restore it from a backup,"
            " or remove it to begin without releases and history"
        )
    # Never opened here: to close it again would drop every lock that this process holds on it through SQLite, and the
    # next process that ends would delete the write-ahead log under this one (SQLite, "How to corrupt", 2.2).
    if size % PAGE_BYTES:
        raise StoreError(f"`{file}` ends within a page: it was truncated; move it aside and restore it from a backup")
