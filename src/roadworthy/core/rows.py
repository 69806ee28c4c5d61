"""Rows of tensors: a part of what was asked, and answers that came apart put below each other again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from msgspec.structs import replace

from roadworthy.core.wire import Request, Tensor


def asking(request: Request, rows: Sequence[int]) -> Request:
    """The same request about some of its rows only."""
    return replace(request, inputs={name: taken(tensor, rows) for name, tensor in request.inputs.items()})


def taken(tensor: Tensor, rows: slice | Sequence[int]) -> Tensor:
    """The tensor with the given rows, in the order given."""
    n, data = tensor.shape[0], tensor.data
    if type(data) is not list:
        import numpy as np

        part = np.asarray(data).reshape(n, -1)[rows]
        return Tensor(tensor.name, tensor.datatype, (len(part), *tensor.shape[1:]), part.reshape(-1))
    width = len(data) // n
    if isinstance(rows, slice):
        found = data[rows.start * width : rows.stop * width]
        return Tensor(tensor.name, tensor.datatype, (rows.stop - rows.start, *tensor.shape[1:]), found)
    found = list(chain.from_iterable(data[k * width : (k + 1) * width] for k in rows))
    return Tensor(tensor.name, tensor.datatype, (len(rows), *tensor.shape[1:]), found)


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of one name and width as one, in the order given."""
    first, data = tensors[0], [tensor.data for tensor in tensors]
    shape = (sum(tensor.shape[0] for tensor in tensors), *first.shape[1:])
    if all(type(part) is list for part in data):
        return Tensor(first.name, first.datatype, shape, list(chain.from_iterable(data)))
    import numpy as np

    return Tensor(first.name, first.datatype, shape, np.concatenate([np.asarray(part).reshape(-1) for part in data]))
