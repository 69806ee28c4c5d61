"""Which segment each row of a request belongs to: the value of a tag of the request, or of one of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from roadworthy.core.record import Record
from roadworthy.core.wire import Request


def segments_of(request: Request, by: str) -> list[str]:
    """The segment of each row; "" where the request says nothing."""
    rows = request.n
    if by in request.tags or by not in request.inputs:
        return [request.tags.get(by, "")] * rows
    data: Any = request.inputs[by].data
    values = data if type(data) is list else np.asarray(data).reshape(-1).tolist()
    return [segment_name(value) for value in values[:rows]]


def segment_of(record: Record, by: str) -> str:
    """The segment of a row that was kept."""
    return record.tags[by] if by in record.tags else segment_name(record.inputs.get(by))


def segment_name(value: Any) -> str:
    """A value of an input as the name of a segment: 3 and 3.0 are one; nothing is ""."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim):
        return segment_name(value[0]) if len(value) == 1 else str(value)
    return "" if value is None or value != value else f"{float(value):g}"
