"""Requests as the bodies of each protocol, and single values of answers as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from roadworthy.core.errors import BadData, BadRequest
from roadworthy.core.wire import Request, Tensor

# An input of this name is a whole body, as text, which is sent as it is but for its `id`.
BODY = "body"


def whole_body(request: Request) -> dict[str, Any] | None:
    """The body that the request carries in place of columns, None where it has columns. Raises BadRequest."""
    if tuple(request.inputs) != (BODY,) or request.inputs[BODY].datatype != "BYTES":
        return None
    text = values(request.inputs[BODY])[0]
    try:
        body = msgspec.json.decode(text)
    except msgspec.DecodeError as wrong:
        raise BadRequest(f"the body is no JSON ({wrong}); write an object: {{...}}") from wrong
    if not isinstance(body, dict):
        raise BadRequest(f"the body must be a JSON object, got {text[:60]!r}")
    return body


def values(tensor: Tensor) -> list[Any]:
    """The values of a tensor in order, whatever holds them; NaN becomes None, as JSON has none."""
    flat = tensor.data if isinstance(tensor.data, list) else tensor.data.reshape(-1).tolist()
    return [None if value != value else value for value in flat]


def rows_of(request: Request) -> list[dict[str, Any]]:
    """One object a row, from the columns of a request."""
    columns = {name: _by_row(tensor) for name, tensor in request.inputs.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """The columns of answered rows, as many as the first row has. Raises BadData where a row lacks one."""
    try:
        return {name: tensor_of(name, [row[name] for row in rows]) for name in rows[0]} if rows else {}
    except KeyError as wrong:
        raise BadData(f"a row of the answer has no {wrong.args[0]!r}, which the first one has") from wrong


def tensor_of(name: str, column: list[Any]) -> Tensor:
    """Values of one column as the tensor that holds them: numbers, truths, else text."""
    if column and all(isinstance(value, list) for value in column):
        flat = [value for row in column for value in row]
        whole = tensor_of(name, flat)
        return Tensor(name, whole.datatype, (len(column), len(flat) // len(column)), whole.data)
    if all(isinstance(value, bool) for value in column):
        return Tensor(name, "BOOL", (len(column),), column)
    if all(value is None or isinstance(value, int | float) for value in column):
        return Tensor(name, "FP64", (len(column),), [None if value is None else float(value) for value in column])
    texts = [value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in column]
    return Tensor(name, "BYTES", (len(column),), texts)


def _by_row(tensor: Tensor) -> list[Any]:
    flat, n = values(tensor), tensor.shape[0]
    if len(tensor.shape) == 1 or len(flat) == n:
        return flat
    width = len(flat) // n if n else 0
    return [flat[i * width : (i + 1) * width] for i in range(n)]
