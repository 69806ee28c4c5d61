"""Texts of a request changed on their way to the model; what is no text, and all other inputs, stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from msgspec.structs import replace

from roadworthy.core.errors import BadRequest, nearest
from roadworthy.core.wire import Request, Tensor


def translated(request: Request, changes: Mapping[str, Callable[[str], str]]) -> Request:
    """The request with each text of these inputs changed. Raises BadRequest where one is absent or no text."""
    inputs = dict(request.inputs)
    for name, change in changes.items():
        if name not in inputs or inputs[name].datatype != "BYTES":
            raise BadRequest(f"no input {name!r} with text to change{nearest(name, inputs)}")
        inputs[name] = _changed(inputs[name], change)
    return replace(request, inputs=inputs)


def _changed(tensor: Tensor, change: Callable[[str], str]) -> Tensor:
    """In a list or an array, as it came."""
    data = tensor.data if isinstance(tensor.data, list) else np.asarray(tensor.data, dtype=object).tolist()
    after = [change(text) if isinstance(text, str) else text for text in data]
    if isinstance(tensor.data, list):
        return replace(tensor, data=after)
    return replace(tensor, data=np.array([*after, None], dtype=object)[:-1])
