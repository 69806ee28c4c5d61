"""Arrays in the body of an Open Inference V2 request or answer, as JSON or as raw bytes behind it.

The binary tensor extension puts the JSON first, its length into a header, and each array's bytes in order after it:
little-endian and row-major, texts with four bytes of length before each.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.wire import Datatype
from roadworthy.serve.ports import ARRAYS

_DATATYPES: Mapping[str, Datatype] = {
    np.dtype(kind).str: datatype for datatype, kind in ARRAYS.items() if datatype != "BYTES"
}


class Body(NamedTuple):
    """The bytes of a request, and how many of them are JSON: None where all are."""

    data: bytes
    json_bytes: int | None


def write_request(arrays: Mapping[str, NDArray[Any]], binary: bool) -> Body:
    """The body that asks about these arrays, and for binary answers where it is binary itself."""
    inputs: list[dict[str, Any]] = []
    raws: list[bytes] = []
    for name, array in arrays.items():
        told: dict[str, Any] = {"name": name, "datatype": datatype_of(array), "shape": array.shape}
        if binary:
            raws.append(_raw(array))
            told["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            told["data"] = array.reshape(-1).tolist()
        inputs.append(told)
    head = msgspec.json.encode({"inputs": inputs, **({"parameters": {"binary_data_output": True}} if binary else {})})
    return Body(b"".join((head, *raws)), len(head) if binary else None)


def read_answer(data: bytes, json_bytes: int | None) -> dict[str, NDArray[Any]]:
    """The outputs of an answer by name. Raises BadData where the body is not one."""
    head = data if json_bytes is None else data[:json_bytes]
    at = len(head)
    found = {}
    try:
        for output in msgspec.json.decode(head)["outputs"]:
            size = (output.get("parameters") or {}).get("binary_data_size")
            if size is None:
                found[output["name"]] = _listed(output["data"], output["datatype"], output["shape"])
                continue
            found[output["name"]] = _read(data[at : at + size], output["datatype"], output["shape"])
            at += size
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError, struct.error) as wrong:
        raise BadData(f"the answer is not one of Open Inference V2: {type(wrong).__name__}: {wrong}") from wrong
    return found


def datatype_of(array: NDArray[Any]) -> Datatype:
    """What Open Inference calls the type of an array."""
    return _DATATYPES.get(array.dtype.newbyteorder("=").str, "BYTES")


def _raw(array: NDArray[Any]) -> bytes:
    if datatype_of(array) != "BYTES":
        return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    texts = ["" if value is None else str(value) for value in array.reshape(-1)]
    return b"".join(struct.pack("<I", len(text)) + text for text in (text.encode() for text in texts))


def _listed(data: Any, datatype: str, shape: Sequence[int]) -> NDArray[Any]:
    dtype = ARRAYS[datatype]  # type: ignore[index]
    return np.asarray(data, dtype).reshape(shape)


def _read(raw: bytes, datatype: str, shape: Sequence[int]) -> NDArray[Any]:
    if datatype != "BYTES":
        return np.frombuffer(bytearray(raw), ARRAYS[datatype]).reshape(shape)  # type: ignore[index]
    texts, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        texts.append(raw[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return np.array(texts, dtype=object).reshape(shape)
