"""Jobs in one SQLite file of the state directory: the default, for one machine; each group costs one disk sync.

A worker holds a lock file that the kernel lets go of when it dies, so that its jobs return at once; a worker that hangs
loses them when its lease ends. It does not know what a job does.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import uuid4

from roadworthy.serve.job_table import JobTable, prepare
from roadworthy.serve.queue import End, Job, Notice, Page, Sent, Stage, Status, Ticket, queue
from roadworthy.store.files import Durability, StoreError, connect, naming

FORGET_SECONDS = 10.0


@queue("sqlite")
@dataclass(frozen=True)
class Sqlite:
    """Jobs in `jobs.db` of the state directory; survives `kill -9` and power cuts, one machine.

    At most `most` jobs are open at a time. One that was started `attempts` times without an end is dead. Results are
    kept for `keep_seconds`. `durability` "process" saves the disk sync, and may lose the last jobs to a power cut.
    """

    directory: Path
    most: int = 10_000
    attempts: int = 5
    lease_seconds: float = 30.0
    keep_seconds: float = 86_400.0
    durability: Durability = "power"

    def __post_init__(self) -> None:
        for name in ("most", "attempts", "lease_seconds", "keep_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be above 0, got {getattr(self, name)!r}")

    def __call__(self, now: Callable[[], float] = time.time) -> OpenSqlite:
        """The open queue. Raises StoreError where the file cannot be used."""
        return OpenSqlite(self, now)

    @classmethod
    @contextmanager
    def example(cls, folder: Path) -> Iterator[Sqlite]:
        """A small one for the laws."""
        yield cls(folder, most=20, attempts=3, lease_seconds=0.3, durability="process")


class OpenSqlite:
    """An OpenQueue under a worker's name of its own."""

    def __init__(self, settings: Sqlite, now: Callable[[], float]) -> None:
        self.settings, self._now = settings, now
        self._file = settings.directory / "jobs.db"
        self._worker = uuid4().hex
        self._turn = threading.Lock()  # of those who read
        settings.directory.mkdir(parents=True, exist_ok=True)
        with naming(self._file):
            self._writing, self._reading = self._connect(), self._connect()
            prepare(self._writing.connection, self._file)
        self._life = _alive(self._lock_file(self._worker))
        self._held_until = self._forgot_at = 0.0

    @contextmanager
    def together(self) -> Iterator[None]:
        """One transaction."""
        with naming(self._file):
            connection = self._writing.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def put(self, jobs: Sequence[Job]) -> list[Ticket]:
        """See `OpenQueue`."""
        return self._writing.put(jobs, self._now())

    def take(self, fresh: int, again: int) -> list[Job]:
        """See `OpenQueue`."""
        now, table = self._now(), self._writing
        if now > self._forgot_at + FORGET_SECONDS:
            table.forget(now)
            self._forgot_at = now
        holders = table.holders()
        for worker, until in holders.items():
            if worker != self._worker and (until < now or self._died(worker)):
                for id in table.held_by(worker):
                    table.lose(id, worker, now)
        begun = [table.begin(id, self._worker, now) for id in table.ready(fresh, again, now)]
        taken = [job for job in begun if job is not None]
        self._hold(now, bool(taken) or self._worker in holders)
        return taken

    def end(self, ends: Sequence[End]) -> None:
        """See `OpenQueue`."""
        self._writing.end(ends)

    def cancel(self, id: str) -> Stage:
        """See `OpenQueue`."""
        return self._writing.cancel(id, self._now())

    def get(self, id: str) -> Status:
        """See `OpenQueue`."""
        with self._turn, naming(self._file):
            return self._reading.get(id)

    def versions(self, ids: Sequence[str]) -> Mapping[str, int]:
        """See `OpenQueue`."""
        with self._turn, naming(self._file):
            return self._reading.versions(ids)

    def page(self, owner: str, cursor: str = "", n: int = 50, state: Stage | None = None) -> Page:
        """See `OpenQueue`."""
        with self._turn, naming(self._file):
            return self._reading.page(owner, cursor, n, state)

    def notices(self, n: int) -> list[Notice]:
        """See `OpenQueue`."""
        return self._writing.notices(n, self._now())

    def sent(self, sents: Sequence[Sent]) -> None:
        """See `OpenQueue`."""
        self._writing.sent(sents)

    def close(self) -> None:
        """See `OpenQueue`."""
        try:
            with self.together():
                for id in self._writing.held_by(self._worker):
                    self._writing.give_back(id, self._worker)
        finally:
            self._writing.connection.close()
            self._reading.connection.close()
            self._lock_file(self._worker).unlink(missing_ok=True)
            self._life.close()

    def _connect(self) -> JobTable:
        settings = self.settings
        connection = connect(self._file, settings.durability)
        return JobTable(connection, settings.most, settings.attempts, settings.keep_seconds)

    def _lock_file(self, worker: str) -> Path:
        return self.settings.directory / f"jobs-{worker}.lock"

    def _hold(self, now: float, something: bool) -> None:
        """Renew our lease when half of it is over, where there is something to hold: an idle queue writes nothing."""
        seconds = self.settings.lease_seconds
        if something and now > self._held_until - seconds / 2:
            self._held_until = now + seconds
            self._writing.hold(self._worker, self._held_until)

    def _died(self, worker: str) -> bool:
        """Whether nobody holds the worker's lock any more."""
        path = self._lock_file(worker)
        with suppress(OSError), path.open("a") as life:
            fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            return True
        return False


def _alive(path: Path) -> IO[str]:
    try:
        life = path.open("a")
        fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as wrong:
        raise StoreError(f"cannot hold `{path}`, which says that this worker lives: {wrong}") from wrong
    return life
