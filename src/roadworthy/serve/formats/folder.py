"""A model that is a folder, as one file and back: a release keeps files, named by the digests of their bytes."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
import zipfile
from pathlib import Path
from typing import IO

from roadworthy.core.errors import BadData, Missing
from roadworthy.serve.formats.archive import open_archive
from roadworthy.serve.formats.base import Limits
from roadworthy.serve.formats.kind import FOLDER, kind_of

# The first moment that a zip archive can name; the real times would give every copy another digest.
_ALWAYS = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, to: Path) -> Path:
    """Write a folder into the zip file `to`, the same content always into the same bytes. Returns `to`.

    Nothing is compressed, for the bytes of a compressor differ between its versions. Empty folders, caches of Python
    and hidden files (`.git`, `.DS_Store`) are left out. Raises BadData for a link, and Missing for an empty folder.
    """
    files = sorted(_files(folder), key=lambda file: file.relative_to(folder).as_posix())
    if not files:
        raise Missing(f"no files in the folder {str(folder)!r} to keep as a model")
    with zipfile.ZipFile(to, "w") as archive:
        archive.comment = FOLDER
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _ALWAYS)
            entry.external_attr = 0o644 << 16
            with file.open("rb") as source, archive.open(entry, "w", force_zip64=True) as kept:
                shutil.copyfileobj(source, kept)
    return to


def unpack(stream: IO[bytes], name: str, to: Path, limits: Limits) -> Path:
    """Write the files of an archive into a folder. Returns it, or the one folder in it. Raises Unsafe."""
    with open_archive(stream, name, limits) as archive:
        archive.extractall(to)
    inner = list(to.iterdir())
    return inner[0] if len(inner) == 1 and inner[0].is_dir() else to


def opened(file: Path, owner: object, limits: Limits) -> Path:
    """The file itself; of a packed folder the folder, which is unpacked and lives as long as its owner."""
    if file.is_dir() or not file.is_file():
        return file
    with file.open("rb") as stream:
        if kind_of(stream) not in ("folder", "mlflow"):
            return file
        to = Path(tempfile.mkdtemp(prefix="roadworthy-"))
        weakref.finalize(owner, shutil.rmtree, to, ignore_errors=True)
        return unpack(stream, str(file), to, limits)


def _files(folder: Path) -> list[Path]:
    found = []
    for at, folders, files in os.walk(folder):
        here = Path(at)
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        for name in (*folders, *files):
            if (here / name).is_symlink():
                raise BadData(f"{str(here / name)!r} is a link, which a release cannot keep: put the file there itself")
        found += [here / name for name in files if not name.startswith(".")]
    return found
