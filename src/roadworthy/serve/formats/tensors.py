"""Looks at the header of a safetensors file: what it declares must be what is there, once and without gaps."""

from __future__ import annotations

import json
import math
from typing import IO, Any

from roadworthy.serve.formats.archive import AGAIN
from roadworthy.serve.formats.base import Unsafe

MOST_HEADER = 100 << 20
_BITS = {"BOOL": 8, "I8": 8, "U8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16}
_BITS |= {"I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64}


def see_safetensors(stream: IO[bytes], name: str) -> None:
    """Raise Unsafe where the header lies about the tensors, or is none."""
    size = stream.seek(0, 2)
    stream.seek(0)
    length = int.from_bytes(stream.read(8), "little")
    if length > min(size - 8, MOST_HEADER):
        found = f"its header declares {length:,} bytes of itself, and {min(size - 8, MOST_HEADER):,} are possible"
        raise Unsafe(name, found, AGAIN)
    header = _header(stream.read(length), name)
    header.pop("__metadata__", None)
    end = 0
    for tensor, (start, stop) in sorted(_spans(header, name).items(), key=lambda span: span[1]):
        if start != end:
            relation = "overlaps the one before it" if start < end else "leaves a gap before it"
            raise Unsafe(name, f"its tensor {tensor!r} {relation}", AGAIN)
        end = stop
    if end != size - 8 - length:
        raise Unsafe(name, f"its tensors end at byte {end:,} of {size - 8 - length:,}", AGAIN)


def _header(text: bytes, name: str) -> dict[str, Any]:
    try:
        header = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as wrong:
        raise Unsafe(name, f"its header is not JSON ({wrong})", AGAIN) from wrong
    if not isinstance(header, dict):
        raise Unsafe(name, "its header is not a JSON object", AGAIN)
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found


def _spans(header: dict[str, Any], name: str) -> dict[str, tuple[int, int]]:
    spans = {}
    for tensor, told in header.items():
        try:
            shape, (start, stop) = told["shape"], told["data_offsets"]
            bits = _BITS[told["dtype"]] * math.prod(shape)
            whole = all(type(n) is int and n >= 0 for n in (*shape, start, stop))
        except (KeyError, TypeError, ValueError) as wrong:
            raise Unsafe(name, f"its header describes {tensor!r} as {told!r:.80}", AGAIN) from wrong
        if not whole or stop - start != bits // 8:
            raise Unsafe(name, f"its tensor {tensor!r} of {told['dtype']} {shape} has {stop - start:,} bytes", AGAIN)
        spans[tensor] = (start, stop)
    return spans
