"""How a record or a label travels: a header that says the version and the kind, then where it comes from, then itself.

Whoever reads it a year later must be able to tell what it is without asking anybody.
"""

from __future__ import annotations

import msgspec

from roadworthy.core.errors import BadData
from roadworthy.core.record import Label, Record
from roadworthy.store.base import Arrival

# "RW", the version of this layout, and the kind; the rest is msgpack: [source, position, the row as a map].
_MAGIC = b"RW"
VERSION = 1
_RECORD, _LABEL = b"r", b"l"
_HEADER_BYTES = len(_MAGIC) + 2

_encode = msgspec.msgpack.Encoder().encode
_records = msgspec.msgpack.Decoder(tuple[str, int, Record]).decode
_labels = msgspec.msgpack.Decoder(tuple[str, int, Label]).decode


def encode(source: str, arrival: Arrival) -> bytes:
    """The bytes of a row that came into the log `source`."""
    kind = _RECORD if isinstance(arrival.row, Record) else _LABEL
    return _MAGIC + bytes((VERSION,)) + kind + _encode((source, arrival.position, arrival.row))


def decode(raw: bytes) -> tuple[str, Arrival]:
    """The source and the row. Raises BadData that says what is wrong with the bytes."""
    if raw[:2] != _MAGIC or len(raw) < _HEADER_BYTES:
        raise BadData(f"{raw[:24]!r} is no record of Roadworthy: it does not begin with {_MAGIC!r}")
    if raw[2] != VERSION:
        raise BadData(f"version {raw[2]} of the layout; this Roadworthy reads version {VERSION}: upgrade roadworthy")
    kind = raw[3:4]
    if kind not in (_RECORD, _LABEL):
        raise BadData(f"kind {kind!r} is neither a record ({_RECORD!r}) nor a label ({_LABEL!r})")
    try:
        source, position, row = (_records if kind == _RECORD else _labels)(raw[_HEADER_BYTES:])
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise BadData(f"{len(raw)} bytes that are no row: {wrong}") from wrong
    return source, Arrival(position, row)
