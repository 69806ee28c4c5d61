"""Opens zip archives that are nothing but a zip archive: no bombs, no paths out of it, no second format around it."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections import Counter
from itertools import pairwise
from pathlib import PurePosixPath
from typing import IO

from roadworthy.serve.formats.base import Limits, Unsafe

AGAIN = "save the model again with the tool that made it"
_ZIP, _ENCRYPTED = b"PK\x03\x04", 0x1
# What stands in front of an entry's data, without its name.
_HEADER_BYTES = 30


def open_archive(stream: IO[bytes], name: str, limits: Limits, depth: int = 1) -> zipfile.ZipFile:
    """The archive, its directory and its nested archives checked. Raises Unsafe.

    Sizes are those that the directory declares: `zipfile` never reads more of an entry than that, and fails on less.
    """
    archive = _opened(stream, name)
    entries = archive.infolist()
    if len(entries) > limits.most_entries:
        found = f"it holds {len(entries):,} files, and {limits.most_entries:,} are allowed"
        raise Unsafe(name, found, "raise `limits: {most_entries: ...}` if that is what the model needs")
    _see_names(entries, name)
    _see_overlaps(entries, name)
    limits.see(name, sum(entry.file_size for entry in entries), stream.seek(0, 2))
    for entry in entries:
        _see_nested(archive, entry, name, limits, depth)
    return archive


def _opened(stream: IO[bytes], name: str) -> zipfile.ZipFile:
    stream.seek(0)
    if stream.read(4) != _ZIP:
        raise Unsafe(name, "it is a zip archive with something else in front of it: two formats in one file", AGAIN)
    stream.seek(0)
    try:
        return zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as wrong:
        raise Unsafe(name, f"it is a damaged or truncated zip archive ({wrong})", AGAIN) from wrong


def _see_names(entries: list[zipfile.ZipInfo], name: str) -> None:
    for path, times in Counter(entry.filename for entry in entries).items():
        if times > 1:
            raise Unsafe(name, f"it holds {path!r} {times} times, of which readers choose differently", AGAIN)
    for entry in entries:
        if not inside(entry.filename):
            raise Unsafe(name, f"its entry {entry.filename!r} leads out of the archive", AGAIN)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise Unsafe(name, f"its entry {entry.filename!r} is a symbolic link", AGAIN)
        if entry.flag_bits & _ENCRYPTED:
            raise Unsafe(name, f"its entry {entry.filename!r} is encrypted", AGAIN)


def _see_overlaps(entries: list[zipfile.ZipInfo], name: str) -> None:
    """Entries that share their bytes make a small archive unpack to anything."""
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    for one, other in pairwise(ordered):
        if one.header_offset + _HEADER_BYTES + one.compress_size > other.header_offset:
            found = f"its entries {one.filename!r} and {other.filename!r} overlap, as in a zip bomb"
            raise Unsafe(name, found, AGAIN)


def inside(path: str) -> bool:
    """Whether a path stays within the folder that it is relative to, on every system.

    >>> inside("data/weights.bin"), inside("../weights.bin"), inside("C:/weights.bin")
    (True, False, False)
    """
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts and not set(path) & set("\\:\0")


def _see_nested(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, limits: Limits, depth: int) -> None:
    if entry.file_size < len(_ZIP) or start(archive, entry.filename, name, len(_ZIP)) != _ZIP:
        return
    if depth >= limits.most_depth:
        raise Unsafe(name, f"it nests archives {depth + 1} deep, and {limits.most_depth} is allowed", AGAIN)
    # To go back in a compressed entry is to unpack it again from its beginning.
    stored = entry.compress_type == zipfile.ZIP_STORED
    inner = archive.open(entry) if stored else io.BytesIO(read(archive, entry.filename, name))
    with inner:
        open_archive(inner, f"{name}/{entry.filename}", limits, depth + 1)


def start(archive: zipfile.ZipFile, path: str, name: str, n: int) -> bytes:
    """The first `n` bytes of an entry. Raises Unsafe where it is damaged."""
    return _taken(archive, path, name, n)


def read(archive: zipfile.ZipFile, path: str, name: str) -> bytes:
    """The bytes of an entry. Raises Unsafe where it is damaged."""
    return _taken(archive, path, name, -1)


def _taken(archive: zipfile.ZipFile, path: str, name: str, n: int) -> bytes:
    try:
        with archive.open(path) as entry:
            return entry.read(n)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, zlib.error) as wrong:
        raise Unsafe(name, f"its entry {path!r} cannot be read ({wrong})", AGAIN) from wrong
