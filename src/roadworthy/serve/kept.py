"""Kept answers: a Response is taken apart into rows of bytes, and put together again from rows old and new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from roadworthy.core.rows import stacked, taken
from roadworthy.core.wire import Response, Step, Tensor

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
        return [
            _row(response, outputs, response.confidence, response.prediction_set, response.usd, response.row_path(0))
        ]
    sure, sets, paid = response.confidence, response.prediction_set, response.usd_of_rows(n)
    return [
        _row(
            response,
            {name: taken(tensor, slice(k, k + 1)) for name, tensor in outputs.items()},
            None if sure is None else sure[k : k + 1],
            None if sets is None else sets[k : k + 1],
            paid[k],
            response.row_path(k),
        )
        for k in range(n)
    ]


def joined(rows: Sequence[Row]) -> tuple[dict[str, Tensor], Any, Any]:
    """The outputs, confidence and prediction sets of rows that stand below each other from here on."""
    first = rows[0]
    if len(rows) == 1:
        return first.outputs, first.confidence, first.prediction_set
    outputs = {name: stacked([row.outputs[name] for row in rows]) for name in first.outputs}
    return outputs, _listed([row.confidence for row in rows]), _listed([row.prediction_set for row in rows])


def _row(
    response: Response,
    outputs: Mapping[str, Tensor],
    sure: Any,
    sets: Any,
    usd: float | None,
    path: tuple[Step, ...],
) -> Row:
    # The Struct takes the mapping as it is: it is written to bytes before anybody could change it.
    return Row(outputs, response.release, sure, sets, path, usd, response.parameters)  # type: ignore[arg-type]


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
