"""The state directory: everything that happened to a project, in one place that survives `kill -9`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from sqlalchemy import URL, Engine, Table

from roadworthy.core.errors import Taken
from roadworthy.core.spec import Log
from roadworthy.store.blobs import Blobs
from roadworthy.store.files import Durability, StoreError
from roadworthy.store.metadata import metadata, open_engine
from roadworthy.store.records import RecordLog


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
    def open(cls, directory: Path, durability: Durability = "power", log: Log | None = None) -> State:
        """Open the directory itself, made where it is missing. Raises StoreError, naming the file at fault.

        `log` says what becomes of records when the disk is full; a relative `spill` begins at the directory's parent,
        where the project file is.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # Two processes that start on a new directory: the second waits until the files are made.
            with (directory / "open.lock").open("a") as turn:
                fcntl.flock(turn, fcntl.LOCK_EX)
                return cls._open(directory, durability, log or Log())
        except OSError as error:
            raise StoreError(f"cannot open the state directory `{directory}`: {error}") from error

    @classmethod
    def _open(cls, directory: Path, durability: Durability, log: Log) -> State:
        engine = open_engine(URL.create("sqlite", database=str(directory / "metadata.db")))
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
        return metadata.tables

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
