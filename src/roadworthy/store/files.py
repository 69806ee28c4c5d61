"""SQLite files as the store wants them: WAL, a busy timeout, and errors that name the file.

It does not know what the tables mean.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from roadworthy.core.errors import RoadworthyError

Durability = Literal["process", "power"]

BUSY_SECONDS = 10.0

# FULL syncs each commit and survives a power cut; NORMAL survives the death of the process only.
_SYNCHRONOUS: dict[Durability, str] = {"power": "FULL", "process": "NORMAL"}

_NEXT_STEPS = {
    "SQLITE_FULL": "free some space; the server goes on and records again by itself",
    "SQLITE_NOTADB": "it is not a SQLite database; move it aside and restore it from a backup",
    "SQLITE_CORRUPT": "it is torn or overwritten; move it aside and restore it from a backup (`sqlite3 FILE .recover`)",
    "SQLITE_BUSY": f"another process held its lock for more than {BUSY_SECONDS:g} s; stop that one or try again",
    "SQLITE_READONLY": "this process may not write to it; give it the right to",
    "SQLITE_CANTOPEN": "check that its directory exists and that this process may read and write there",
    "SQLITE_IOERR": "the disk or a limit refused; check `df`, `ulimit -f` and the system's log",
}


class StoreError(RoadworthyError):
    """A file of the state directory that cannot be read or written now; the message names it."""

    status = 503


def connect(path: Path, durability: Durability = "power", busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection that any thread may use (one at a time) and that begins no transaction by itself."""
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={_SYNCHRONOUS[durability]}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_without_waiting(path: Path) -> sqlite3.Connection:
    """A connection that fails where it would have to wait for a lock, and never waits for the disk.

    It leaves it to others to move the write-ahead log into the database and to sync it: see `sync_log`.
    """
    connection = connect(path, "process", busy_seconds=0.0)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


def sync_log(path: Path) -> None:
    """Have the disk keep all that was committed through any connection that is still open. Raises OSError.

    A commit is whole once its frames in the write-ahead log are; it is what SQLite does for `synchronous=FULL`.
    """
    log = os.open(f"{path}-wal", os.O_RDWR)
    try:
        getattr(os, "fdatasync", os.fsync)(log)
    finally:
        os.close(log)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an error of SQLite into a StoreError that names the file and the next step."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(sentence(path, error)) from error


def sentence(path: Path, error: sqlite3.Error) -> str:
    """What went wrong with which file, and what to do about it."""
    # Extended codes, such as SQLITE_IOERR_WRITE, begin with the name of their family.
    code = getattr(error, "sqlite_errorname", "")
    step = next((step for family, step in _NEXT_STEPS.items() if code.startswith(family)), "see the cause")
    return f"`{path}`: {error} ({code or type(error).__name__}); {step}"
