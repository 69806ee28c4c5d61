"""Looks at an ONNX file without running it: weights that lie in other files, operators that nobody here knows.

It walks the protocol buffer itself, so that neither `onnx` nor ONNX Runtime opens a path that the file names.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple

from roadworthy.core.errors import BadData
from roadworthy.serve.formats.archive import inside
from roadworthy.serve.formats.base import Unsafe

# What ONNX Runtime brings along. A domain that the file itself defines functions for is known too.
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})

# Where messages are found within messages (onnx.proto): field -> what it holds.
_WITHIN: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Span(NamedTuple):
    """A field of a message: its number, and from where to where its bytes are (both 0 for a number)."""

    field: int
    start: int
    stop: int


def see_onnx(stream: IO[bytes], name: str, files: frozenset[str] = frozenset()) -> None:
    """Raise Unsafe where the graph reads files other than `files` beside it, or wants operators that are not here.

    Raises BadData for what is not ONNX at all.
    """
    data = _view(stream, name)
    try:
        _see_domains(data, name)
        # Weights in other files are named by entries of this key; few files have any.
        if data.find(b"location") >= 0:
            for location in _locations(data, 0, len(data), "model"):
                _see_location(location, name, files)
    except (IndexError, ValueError, UnicodeDecodeError, RecursionError) as wrong:
        raise BadData(f"{name!r} is not an ONNX model: {wrong}") from wrong


def _view(stream: IO[bytes], name: str) -> mmap.mmap | bytes:
    """The file as memory that the system reads when it is looked at."""
    if not stream.seek(0, 2):
        raise BadData(f"{name!r} is not an ONNX model: it is empty")
    stream.seek(0)
    try:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:
        return stream.read()


def _see_domains(data: mmap.mmap | bytes, name: str) -> None:
    own = {_text(data, part) for span in _fields(data, 0, len(data)) if span.field == 25
           for part in _fields(data, span.start, span.stop) if part.field == 10}  # fmt: skip
    wanted = {
        "".join(_text(data, part) for part in _fields(data, span.start, span.stop) if part.field == 1)
        for span in _fields(data, 0, len(data))
        if span.field == 8
    }
    if not any(span.field == 7 and span.stop for span in _fields(data, 0, len(data))):
        raise ValueError("it has no graph")
    strange = sorted(wanted - DOMAINS - own)
    if strange:
        known = ", ".join(sorted(DOMAINS - {""}))
        found = f"it uses operators of {', '.join(map(repr, strange))}, which ONNX Runtime does not have ({known})"
        raise Unsafe(name, found, "export it with standard operators only")


def _see_location(location: str, name: str, files: frozenset[str]) -> None:
    if not inside(location):
        raise Unsafe(name, f"its weights lie in {location!r}, outside of its folder", _TOGETHER)
    if location not in files:
        raise Unsafe(name, f"its weights lie in another file, {location!r}, which is not part of it", _TOGETHER)


_TOGETHER = (
    "save it as one file (`onnx.save_model(model, path, save_as_external_data=False)`), or name the folder with both "
    "as the model's file"
)


def _locations(data: mmap.mmap | bytes, start: int, stop: int, kind: str) -> Iterator[str]:
    within = _WITHIN.get(kind, {})
    for span in _fields(data, start, stop):
        if span.field in within and within[span.field] == "entry":
            entry = {part.field: _text(data, part) for part in _fields(data, span.start, span.stop)}
            if entry.get(1) == "location":
                yield entry.get(2, "")
        elif span.field in within:
            yield from _locations(data, span.start, span.stop, within[span.field])


def _fields(data: mmap.mmap | bytes, start: int, stop: int) -> Iterator[Span]:
    """The fields of the message between two bytes. Raises ValueError where it is none."""
    at = start
    while at < stop:
        key, at = _number(data, at, stop)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            _, at = _number(data, at, stop)
            yield Span(field, 0, 0)
            continue
        size, at = _number(data, at, stop) if kind == _BYTES else ({_FIXED64: 8, _FIXED32: 4}.get(kind, -1), at)
        if not field or size < 0 or at + size > stop:
            raise ValueError(f"byte {at} begins no field of a protocol buffer")
        yield Span(field, at, at + size)
        at += size


def _number(data: mmap.mmap | bytes, at: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while at < stop and shift < 64:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError(f"byte {at} is the middle of a number that does not end")


def _text(data: mmap.mmap | bytes, span: Span) -> str:
    return data[span.start : span.stop].decode()
