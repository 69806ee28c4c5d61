"""Blobs: files kept under the SHA-256 of their bytes. It does not know what is in them."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from roadworthy.core.errors import BadData, Missing

_PIECE_BYTES = 1 << 20


class Blob(NamedTuple):
    """A file that is kept: its digest, its size, and when it was last put here (Unix seconds)."""

    digest: str
    bytes: int
    at: float


class Blobs:
    """A directory of immutable files. A file appears under its digest whole and synced to disk, or not at all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def put(self, path: Path) -> str:
        """Keep a copy of a file and return its digest. Putting the same bytes again heals a damaged copy."""
        if not path.is_file():
            raise Missing(f"no file `{path}` to keep")
        descriptor, name = tempfile.mkstemp(dir=self.directory, prefix="incoming-")
        try:
            with os.fdopen(descriptor, "wb") as copy:
                digest = _copy(path, copy)
            target = self._place(digest)
            target.parent.mkdir(exist_ok=True)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        # The rename, and the folder that may be new, must survive a power cut just as the bytes do.
        _sync(target.parent)
        _sync(self.directory)
        return digest

    def path(self, digest: str) -> Path:
        """Where the file with this digest is. Raises Missing when it is not here."""
        found = self._place(digest)
        # A digest may come from a caller far away: only hexadecimal digits lead into the directory.
        if not re.fullmatch("[0-9a-f]{64}", digest) or not found.is_file():
            raise Missing(f"no file with the digest {digest!r} in `{self.directory}`; `put` it there first")
        return found

    def check(self, digest: str) -> Path:
        """`path`, after reading the whole file: raises BadData when its bytes are no longer those of the digest."""
        found = self.path(digest)
        with found.open("rb") as file:
            now = hashlib.file_digest(file, "sha256").hexdigest()
        if now != digest:
            raise BadData(f"`{found}` is damaged: its digest is now {now!r}; `put` the original again, or restore it")
        return found

    def all(self) -> Iterator[Blob]:
        """Every file that is kept, in no order."""
        for found in self.directory.glob("[0-9a-f][0-9a-f]/*"):
            # Another process may remove one, or a person may have put something of their own there.
            if re.fullmatch("[0-9a-f]{64}", found.name) and found.is_file():
                kept = found.stat()
                yield Blob(found.name, kept.st_size, kept.st_mtime)

    def remove(self, digest: str) -> None:
        """Let go of a file for good; nothing where it is gone already. A file that is open stays readable."""
        if re.fullmatch("[0-9a-f]{64}", digest):
            self._place(digest).unlink(missing_ok=True)

    def sweep(self, before: float) -> int:
        """Remove what a `put` that was killed left half copied before that time (Unix seconds); its bytes."""
        swept = 0
        for half in self.directory.glob("incoming-*"):
            left = half.stat()
            if left.st_mtime < before:
                half.unlink(missing_ok=True)
                swept += left.st_size
        return swept

    def _place(self, digest: str) -> Path:
        return self.directory / digest[:2] / digest


def _copy(source: Path, copy: BinaryIO) -> str:
    """Copy and sync the bytes; the digest is of those that were written, read once."""
    hashed = hashlib.sha256()
    with source.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            hashed.update(piece)
            copy.write(piece)
    copy.flush()
    os.fsync(copy.fileno())
    return hashed.hexdigest()


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
