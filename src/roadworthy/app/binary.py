"""Tensors as bytes: row-major, little-endian, without padding, as the binary-data extension and gRPC send them."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadRequest, RoadworthyError
from roadworthy.core.wire import Datatype, Tensor

# A text of the BYTES datatype is its length, then its bytes.
_LENGTH = struct.Struct("<I")

_DTYPES: dict[Datatype, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}

# A product of many large numbers takes long to work out, and no tensor has as many dimensions.
MOST_DIMENSIONS = 8


def from_bytes(name: str, datatype: Datatype, shape: tuple[int, ...], raw: memoryview) -> Tensor:
    """The tensor that `raw` holds: a read-only array on the same memory, or a list where it holds texts.

    The size is checked before anything is made of it. Raises BadRequest naming the input.
    """
    count = _count(name, shape)
    if datatype == "BYTES":
        return Tensor(name, datatype, shape, list(_texts(name, shape, count, raw)))
    dtype = _DTYPES[datatype]
    if count * dtype.itemsize != len(raw):
        size = f"{count * dtype.itemsize}, as its shape {list(shape)} and datatype {datatype} say"
        raise BadRequest(f"input {name!r} has {len(raw)} bytes; allowed: {size}")
    values: NDArray[Any] = np.frombuffer(raw, np.uint8 if datatype == "BOOL" else dtype)
    if datatype == "BOOL":
        values = _truths(name, values)
    # The length of the JSON in front of it decides where a tensor begins, and some kernels want multiples of 8.
    return Tensor(name, datatype, shape, values if values.flags.aligned else values.copy())


def to_bytes(tensor: Tensor) -> bytes:
    """The data of an answered tensor; None becomes NaN among floats, and an empty text among texts."""
    if tensor.datatype == "BYTES":
        return b"".join(_framed(tensor.data))
    try:
        if tensor.datatype == "BOOL" and isinstance(tensor.data, list) and None in tensor.data:
            raise TypeError("null is neither true nor false")  # numpy would make it false
        return np.asarray(tensor.data, _DTYPES[tensor.datatype]).tobytes()
    except (TypeError, ValueError, OverflowError) as wrong:
        raise RoadworthyError(
            f"output {tensor.name!r} does not fit its datatype {tensor.datatype}: {wrong}; ask for it as JSON"
        ) from wrong


def _count(name: str, shape: tuple[int, ...]) -> int:
    if len(shape) > MOST_DIMENSIONS or (shape and not 0 <= min(shape) <= max(shape) < 2**63):
        raise BadRequest(
            f"input {name!r} has shape {str(list(shape))[:60]}; allowed: sizes of 0 or more, at most {MOST_DIMENSIONS}"
        )
    return math.prod(shape)


def _truths(name: str, values: NDArray[Any]) -> NDArray[np.bool_]:
    wrong = np.flatnonzero(values > 1)
    if wrong.size:
        i = int(wrong[0])
        raise BadRequest(f"input {name!r} has the byte {int(values[i])} at value {i}; allowed: 0 or 1")
    return values.view(np.bool_)


def _texts(name: str, shape: tuple[int, ...], count: int, raw: memoryview) -> Iterator[str]:
    if count * _LENGTH.size > len(raw):
        least = f"at least {count * _LENGTH.size}, for the lengths of the {count} texts of its shape {list(shape)}"
        raise BadRequest(f"input {name!r} has {len(raw)} bytes; allowed: {least}")
    start = 0
    for i in range(count):
        body = start + _LENGTH.size
        start = body + (_LENGTH.unpack_from(raw, start)[0] if body <= len(raw) else 0)
        if max(start, body) > len(raw):
            raise BadRequest(f"input {name!r} ends within text {i}; allowed: 4 bytes of length, then so many bytes")
        yield text(name, i, raw[body:start])
    if start != len(raw):
        rest = len(raw) - start
        raise BadRequest(f"input {name!r} has {rest} bytes after its {count} texts; allowed: none")


def text(name: str, i: int, raw: memoryview | bytes) -> str:
    """One text of an input. Raises BadRequest where it is not UTF-8."""
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError as wrong:
        raise BadRequest(f"input {name!r} has a text at {i} that is not UTF-8 ({wrong.reason})") from wrong


def _framed(texts: Sequence[Any]) -> Iterator[bytes]:
    for each in texts if isinstance(texts, list) else np.asarray(texts).reshape(-1).tolist():
        raw = each if isinstance(each, bytes) else b"" if each is None else str(each).encode()
        yield _LENGTH.pack(len(raw))
        yield raw
