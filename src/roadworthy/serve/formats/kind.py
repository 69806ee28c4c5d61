"""Says what a model file is from its content; a suffix is only what somebody called it."""

from __future__ import annotations

import zipfile
from pathlib import PurePosixPath
from typing import IO, Literal

Kind = Literal[
    "onnx",
    "safetensors",
    "skops",
    "pickle",
    "joblib",
    "npy",
    "npz",
    "torch",
    "torchscript",
    "exported",
    "torch legacy",
    "mlflow",
    "mlmodel",
    "folder",
    "zip",
    "unknown",
]

# What `pack` writes at the end of a folder, so that it is told from formats that are zip archives themselves.
FOLDER = b"roadworthy folder"

# A legacy torch file is a row of pickles, of which the first is this number.
_LEGACY = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_COMPRESSED = (
    b"\x1f\x8b",  # gzip
    b"BZh",
    b"\xfd7zXZ\0",
    b"\x5d\0\0",  # lzma
    b"\x04\x22\x4d\x18",  # lz4
    b"\x78\x01",  # zlib, at each of its levels
    b"\x78\x5e",
    b"\x78\x9c",
    b"\x78\xda",
)
# How pickles of protocols 0 and 1, which have no header, begin.
_OLD_PICKLE = b"(c]}IFLSVNld"


def kind_of(stream: IO[bytes]) -> Kind:
    """What the content is; it may still be damaged or hostile. Reads the first bytes, and the names in an archive."""
    if zipfile.is_zipfile(stream):
        return _kind_of_archive(stream)
    stream.seek(0)
    head = stream.read(1 << 16)
    if not head:
        return "unknown"
    if head[:6] == b"\x93NUMPY":
        return "npy"
    if head[8:9] == b"{" and 0 < int.from_bytes(head[:8], "little") < 1 << 40:
        return "safetensors"
    if head.startswith(_COMPRESSED):
        return "joblib"
    if head[2:].startswith(_LEGACY):
        return "torch legacy"
    if head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return "pickle"
    if b"flavors:" in head and b"\0" not in head:
        return "mlmodel"
    if head[:1] in _OLD_PICKLE and _ends_with(stream, b"."):
        return "pickle"
    # The first field of a protocol buffer: here the version of the format, or the graph itself.
    return "onnx" if head[:1] in (b"\x08", b"\x12", b"\x3a") else "zip" if head[:2] == b"PK" else "unknown"


def _kind_of_archive(stream: IO[bytes]) -> Kind:
    try:
        with zipfile.ZipFile(stream) as archive:
            names, comment = archive.namelist(), archive.comment
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return "zip"
    if comment == FOLDER:
        return "folder"
    paths = [PurePosixPath(name) for name in names]
    last = {path.name for path in paths}
    if "archive_format" in last or "serialized_exported_program.json" in last:
        return "exported"
    if any(path.parts[1:2] == ("code",) for path in paths) or "constants.pkl" in last:
        return "torchscript"
    if "data.pkl" in last:
        return "torch"
    if "schema.json" in names:
        return "skops"
    if "MLmodel" in last:
        return "mlflow"
    return "npz" if names and all(name.endswith(".npy") for name in names) else "zip"


def _ends_with(stream: IO[bytes], end: bytes) -> bool:
    stream.seek(-len(end), 2)
    return stream.read() == end
