"""What becomes of records while the disk is full: refused (there is nothing to do), dropped and counted, or spilled.

Dropped rows leave a line in the log of the process, and a gap in the record log once there is room. Spilled rows lie in
a file on another disk until they can be written; whoever was answered finds them in the log then.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from struct import Struct as Layout
from typing import IO, Protocol
from uuid import uuid4

import msgspec
from msgspec import Struct

from roadworthy.store.rows import Row

logger = logging.getLogger(__name__)

SAY_AGAIN_SECONDS = 60.0
TRY_AGAIN_SECONDS = 1.0

_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Length and CRC-32 of a frame.
_FRAME = Layout("<II")
_rows = msgspec.msgpack.Decoder(list[Row]).decode

Insert = Callable[[Sequence[Row]], None]


class Gap(Struct, frozen=True):
    """Records that were answered but not kept: how many, between when, and why."""

    since: float
    until: float
    rows: int
    reason: str


class Overflow(Protocol):
    """Takes rows that the disk refuses, and gives them back when there is room. Only the writer's thread calls it."""

    @property
    def waiting(self) -> bool:
        """Is there something to give back?"""
        ...

    @property
    def due(self) -> bool:
        """Is it time to try the disk again?"""
        ...

    def take(self, rows: Sequence[Row], why: str) -> None:
        """Answer for rows that are not in the log. Raises OSError where that is not possible either."""
        ...

    def give_back(self, connection: sqlite3.Connection, insert: Insert) -> None:
        """Write to the log what it took. Raises what the disk raises."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


def is_full(error: Exception) -> bool:
    """Does the disk (a quota, a limit) refuse to take more?"""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorname", "")
        return code.startswith(("SQLITE_FULL", "SQLITE_IOERR"))
    return isinstance(error, OSError) and error.errno in _FULL_ERRNOS


class Drop:
    """Rows are let go and counted; the gap is written down when there is room."""

    due = True

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._gap: Gap | None = None
        self._said = -SAY_AGAIN_SECONDS

    @property
    def waiting(self) -> bool:
        return self._gap is not None

    def take(self, rows: Sequence[Row], why: str) -> None:
        now = self._now()
        self._gap = Gap(
            self._gap.since if self._gap else now, now, (self._gap.rows if self._gap else 0) + len(rows), why
        )
        if now - self._said >= SAY_AGAIN_SECONDS:
            self._said = now
            logger.warning("%d records were answered but not kept since %.0f: %s", self._gap.rows, self._gap.since, why)

    def give_back(self, connection: sqlite3.Connection, insert: Insert) -> None:
        if self._gap is not None:
            sql = "INSERT INTO gaps (since, until, rows, reason) VALUES (?, ?, ?, ?)"
            connection.execute(sql, msgspec.structs.astuple(self._gap))
            logger.warning("there is room again: %d records are missing", self._gap.rows)
            self._gap, self._said = None, -SAY_AGAIN_SECONDS

    def close(self) -> None:
        """Nothing is held."""


class Spill:
    """Rows go to a file in a directory on another disk, frame by frame, and from there to the log in their order.

    Each process has a file of its own and a lock on it; a file without one was left by a process that died, and is
    given back by the next that opens the log. Giving back twice is harmless: a row that is there stays as it is.
    """

    def __init__(self, directory: Path, log: Path, sync: bool, clock: Callable[[], float] = time.monotonic) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory, self._sync, self._clock = directory, sync, clock
        # Several logs may spill into one directory.
        self._name = sha256(str(log.resolve()).encode()).hexdigest()[:16]
        self._left = list(_unlocked(directory.glob(f"{self._name}-*.spill")))
        self._file: IO[bytes] | None = None
        self._bytes = 0
        self._tried = -TRY_AGAIN_SECONDS

    @property
    def waiting(self) -> bool:
        return self._bytes > 0 or bool(self._left)

    @property
    def due(self) -> bool:
        return self._clock() - self._tried >= TRY_AGAIN_SECONDS

    def take(self, rows: Sequence[Row], why: str) -> None:
        file = self._file or self._open()
        body = msgspec.msgpack.encode(rows)
        try:
            _write_all(file, _FRAME.pack(len(body), zlib.crc32(body)) + body)
            if self._sync:
                os.fsync(file.fileno())
        except OSError:
            # What was half written must not stand before the next frame.
            os.ftruncate(file.fileno(), self._bytes)
            raise
        if not self._bytes:
            logger.warning("records go to `%s` until there is room again: %s", file.name, why)
        self._bytes += _FRAME.size + len(body)
        self._tried = self._clock() if self.due else self._tried

    def give_back(self, connection: sqlite3.Connection, insert: Insert) -> None:
        while self._left:
            self._give(self._left[0], insert)
            with self._left.pop(0) as done:
                Path(done.name).unlink(missing_ok=True)
        if self._file is not None and self._bytes:
            self._give(self._file, insert)
            os.ftruncate(self._file.fileno(), 0)
            self._bytes = 0

    def close(self) -> None:
        for file in self._left:
            file.close()
        if self._file is not None:
            if not self._bytes:
                Path(self._file.name).unlink(missing_ok=True)
            self._file.close()

    def _open(self) -> IO[bytes]:
        path = self._directory / f"{self._name}-{os.getpid()}-{uuid4().hex[:8]}.spill"
        self._file = path.open("a+b", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return self._file

    def _give(self, file: IO[bytes], insert: Insert) -> None:
        n = 0
        for rows in frames(file):
            insert(rows)
            n += len(rows)
        logger.warning("%d records from `%s` are in the log now", n, file.name)


def frames(file: IO[bytes]) -> Iterator[list[Row]]:
    """The groups of rows in a spill file; a torn tail, which nobody was promised, ends it."""
    file.seek(0)
    while len(head := _exactly(file, _FRAME.size)) == _FRAME.size:
        length, crc = _FRAME.unpack(head)
        body = _exactly(file, length)
        if len(body) < length or zlib.crc32(body) != crc:
            return
        yield _rows(body)


def _write_all(file: IO[bytes], data: bytes) -> None:
    """Write all of it; a disk that fills up takes a part first, and then refuses."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _exactly(file: IO[bytes], length: int) -> bytes:
    """So many bytes, or what there is; one system call may give fewer."""
    pieces = []
    while length > 0 and (piece := file.read(length)):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def _unlocked(paths: Iterator[Path]) -> Iterator[IO[bytes]]:
    """The files that no living process holds, oldest first, now held by this one."""
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        file = path.open("rb", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            yield file
