"""Zip archives that are bombs, that lead out of themselves, or that are two things at once."""

from __future__ import annotations

import io
import os
import pickle
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadworthy.serve.formats.base import LIMITS, Limits

Refused = Callable[..., None]
Fill = Callable[[zipfile.ZipFile], None]


def archive(*fill: Fill) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as made:
        for part in fill:
            part(made)
    return whole.getvalue()


def array() -> bytes:
    whole = io.BytesIO()
    np.save(whole, np.ones(4))
    return whole.getvalue()


def entry(name: str, data: bytes | None = None, **told: Any) -> Fill:
    def put(made: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        for key, value in told.items():
            setattr(info, key, value)
        made.writestr(info, array() if data is None else data)

    return put


def twice(made: zipfile.ZipFile) -> None:
    entry("a.npy")(made)
    with pytest.warns(UserWarning, match="Duplicate name"):
        entry("a.npy")(made)


def overlapping() -> bytes:
    """Three entries of one and the same data, as in Fifield's bomb."""
    data = bytearray(archive(entry("a.npy", bytes(9999)), entry("b.npy", bytes(9999)), entry("c.npy", bytes(9999))))
    first = data.index(b"PK\x01\x02")
    at, size = first, struct.unpack_from("<I", data, first + 20)[0]
    blank = data[:first]
    while data[at : at + 4] == b"PK\x01\x02":
        struct.pack_into("<I", data, at + 42, 0)
        at += 46 + sum(struct.unpack_from("<HHH", data, at + 28))
    # The local headers of the second and third entry go, with their data.
    keep = 30 + 5 + size
    moved = data[:keep] + data[first:]
    end = moved.index(b"PK\x05\x06")
    struct.pack_into("<I", moved, end + 16, keep)
    assert len(blank) > keep
    return bytes(moved)


def encrypted() -> bytes:
    data = bytearray(archive(entry("a.npy")))
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + 8, 1)
    return bytes(data)


def nests(depth: int) -> bytes:
    inner = array()
    for _ in range(depth):
        inner = archive(entry("a.npy", inner))
    return inner


def probe(marker: Path) -> bytes:
    class Calls:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(marker),)

    return pickle.dumps(Calls())


BAD: dict[str, tuple[str, Callable[[], bytes], Limits]] = {
    "a bomb by ratio": (
        r"unpacks to [\d,]+ times its size, and 100 is allowed", lambda: archive(entry("a.npy", bytes(80 << 20))),
        LIMITS,
    ),
    "a bomb by size": (
        r"unpacks to 2,000,000 bytes, and 1,000,000", lambda: archive(entry("a.npy", bytes(2_000_000))),
        Limits(most_bytes=1_000_000),
    ),
    "a bomb by overlap": (r"'a\.npy' and 'b\.npy' overlap", overlapping, LIMITS),
    "a bomb by number": (
        r"holds 12 files, and 10 are allowed", lambda: archive(*(entry(f"{k}.npy") for k in range(12))),
        Limits(most_entries=10),
    ),
    "a bomb by depth": (r"nests archives 4 deep, and 3 is allowed", lambda: nests(5), LIMITS),
    "a path upwards": (r"'\.\./a\.npy' leads out", lambda: archive(entry("../a.npy")), LIMITS),
    "an absolute path": (r"'/etc/a\.npy' leads out", lambda: archive(entry("/etc/a.npy")), LIMITS),
    "a path of Windows": (r"leads out", lambda: archive(entry("C:/a.npy")), LIMITS),
    "a link": (
        r"'a\.npy' is a symbolic link",
        lambda: archive(entry("a.npy", b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16)), LIMITS,
    ),
    "a name twice": (r"holds 'a\.npy' 2 times", lambda: archive(twice), LIMITS),
    "a password": (r"is encrypted", encrypted, LIMITS),
    "something in front": (r"two formats in one file", lambda: b"GIF89a" + archive(entry("a.npy")), LIMITS),
    "half of it": (r"damaged or truncated", lambda: archive(entry("a.npy"))[:-30], LIMITS),
}  # fmt: skip


@pytest.mark.parametrize("how", BAD)
def test_a_bad_archive_is_refused(how: str, tmp_path: Path, refused: Refused) -> None:
    because, made, limits = BAD[how]
    file = tmp_path / "model.npz"
    file.write_bytes(made())
    refused(file, because, limits)


def test_an_archive_whose_sums_do_not_agree_is_refused(tmp_path: Path, refused: Refused) -> None:
    data = bytearray(archive(entry("a.npy")))
    data[45] ^= 0xFF
    (tmp_path / "model.npz").write_bytes(data)
    refused(tmp_path / "model.npz", r"'a\.npy' cannot be read|header is not that")


def test_a_pickle_with_an_archive_behind_it_is_neither(
    tmp_path: Path, marker: Path, refused: Refused, ran: Callable[[], bool]
) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(probe(marker) + archive(entry("schema.json", b"{}")))
    refused(file, r"two formats in one file")
    pickle.loads(file.read_bytes())
    assert ran()


def test_a_nested_archive_is_opened_with_the_same_care(tmp_path: Path, refused: Refused) -> None:
    file = tmp_path / "model.zip"
    file.write_bytes(archive(entry("inner.npz", archive(entry("../a.npy")))))
    refused(file, r"model\.zip/inner\.npz' is refused: its entry '\.\./a\.npy' leads out")
