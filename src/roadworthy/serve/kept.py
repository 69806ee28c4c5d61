"""Kept answers: a Response is taken apart into rows of bytes, and put together again from rows old and new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.wire import Request, Response, Step, Tensor

_ARRAY = 1


class Row(Struct, array_like=True):
    """The answer to one row, without what belongs to the request that asked: id, arm and timings."""

    outputs: dict[str, Tensor]
    release: str
    confidence: Any
    prediction_set: Any
    path: tuple[Step, ...]
    usd: float | None
    parameters: dict[str, Any]


def rows_in(response: Response, n: int) -> list[Row] | None:
    """The n rows of a response; None where it may not be kept (a stream, a fallback, `no-store`, other rows)."""
    outputs = response.outputs
    if (
        (type(outputs) is not dict and not isinstance(outputs, Mapping))
        or response.arm == "fallback"
        or "no-store" in response.parameters
    ):
        return None
    for tensor in outputs.values():
        if not tensor.shape or tensor.shape[0] != n:
            return None
    if n == 1:
        return [_row(response, outputs, response.confidence, response.prediction_set, response.usd)]
    sure, sets = response.confidence, response.prediction_set
    usd = None if response.usd is None else response.usd / n
    return [
        _row(
            response,
            {name: taken(tensor, slice(k, k + 1)) for name, tensor in outputs.items()},
            None if sure is None else sure[k : k + 1],
            None if sets is None else sets[k : k + 1],
            usd,
        )
        for k in range(n)
    ]


def joined(rows: Sequence[Row]) -> tuple[dict[str, Tensor], Any, Any]:
    """The outputs, confidence and prediction sets of rows that stand below each other from here on."""
    first = rows[0]
    if len(rows) == 1:
        return first.outputs, first.confidence, first.prediction_set
    outputs = {name: _stacked([row.outputs[name] for row in rows]) for name in first.outputs}
    return outputs, _listed([row.confidence for row in rows]), _listed([row.prediction_set for row in rows])


def asking(request: Request, rows: Sequence[int]) -> Request:
    """The same request about some of its rows only."""
    return replace(request, inputs={name: taken(tensor, rows) for name, tensor in request.inputs.items()})


def taken(tensor: Tensor, rows: slice | Sequence[int]) -> Tensor:
    """The tensor with the given rows, in the order given."""
    n, data = tensor.shape[0], tensor.data
    if type(data) is not list:
        part = np.asarray(data).reshape(n, -1)[rows]
        return Tensor(tensor.name, tensor.datatype, (len(part), *tensor.shape[1:]), part.reshape(-1))
    width = len(data) // n
    if isinstance(rows, slice):
        found = data[rows.start * width : rows.stop * width]
        return Tensor(tensor.name, tensor.datatype, (rows.stop - rows.start, *tensor.shape[1:]), found)
    found = list(chain.from_iterable(data[k * width : (k + 1) * width] for k in rows))
    return Tensor(tensor.name, tensor.datatype, (len(rows), *tensor.shape[1:]), found)


def _row(response: Response, outputs: Mapping[str, Tensor], sure: Any, sets: Any, usd: float | None) -> Row:
    # The Struct takes the mapping as it is: it is written to bytes before anybody could change it.
    return Row(outputs, response.release, sure, sets, response.path, usd, response.parameters)  # type: ignore[arg-type]


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    first, data = tensors[0], [tensor.data for tensor in tensors]
    whole: Any = (
        list(chain.from_iterable(data))
        if all(type(part) is list for part in data)
        else np.concatenate([np.asarray(part).reshape(-1) for part in data])
    )
    return Tensor(first.name, first.datatype, (len(tensors), *first.shape[1:]), whole)


def _listed(parts: Sequence[Any]) -> list[Any] | None:
    return None if any(part is None for part in parts) else list(chain.from_iterable(parts))


def _to_msgpack(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return value.tolist()
        flat = (value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())
        return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(flat))
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"an answer that holds {type(value).__name__} cannot be kept")


def _from_msgpack(code: int, data: memoryview) -> Any:
    dtype, shape, raw = msgspec.msgpack.decode(data)
    return np.frombuffer(raw, dtype).reshape(shape)


encoded = msgspec.msgpack.Encoder(enc_hook=_to_msgpack).encode
decoded = msgspec.msgpack.Decoder(Row, ext_hook=_from_msgpack).decode
