"""Ports: what a graph wants under which name, and the columns that go into it; shared by engines of graphs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, nearest
from roadworthy.core.spec import Field, Kind, Signature
from roadworthy.core.wire import Datatype

# The array that carries each datatype.
ARRAYS: Mapping[Datatype, type[Any]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}


class Port(NamedTuple):
    """An input of a graph: its name, its Open Inference datatype, and its shape with None for "any"."""

    name: str
    datatype: Datatype
    shape: tuple[int | None, ...]

    @property
    def width(self) -> int | None:
        """How many values a row has; None where the graph leaves it open."""
        tail = [size for size in self.shape[1:] if size is not None]
        return math.prod(tail) if len(tail) == len(self.shape[1:]) else None

    @property
    def field(self) -> Field:
        """The input as a project file would promise it."""
        return Field(kind_of(self.datatype), width=self.width or 1)


def kind_of(datatype: str) -> Kind:
    """What a project file calls a datatype."""
    if datatype == "BYTES":
        return "text"
    return "boolean" if datatype == "BOOL" else "number" if datatype.startswith("FP") else "integer"


def taken(
    port: Port, ports: Sequence[Port], columns: tuple[str, ...], inputs: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """The columns that go into a port, whether or not all of them are there.

    As `inputs` says; else the column of the port's name; else, where the graph has one port only, all of them.
    """
    if port.name in inputs:
        return inputs[port.name]
    alone = len(ports) == 1 and port.name not in columns
    return columns if alone and (port.width != 1 or len(columns) == 1) else (port.name,)


def feed(columns: Mapping[str, NDArray[Any]], names: Sequence[str], port: Port) -> NDArray[Any]:
    """The columns side by side, as the port's type and in its shape. A null text is fed as ""."""
    array = columns[names[0]] if len(names) == 1 else np.concatenate([columns[name] for name in names], axis=1)
    if port.datatype == "BYTES":
        texts = ["" if value is None else str(value) for value in array.reshape(-1)]
        array = np.array(texts, dtype=object).reshape(array.shape)
    array = array.astype(ARRAYS[port.datatype], copy=False)
    if len(port.shape) == 2 or port.width is None:
        return array
    return array.reshape(len(array), *(size or 1 for size in port.shape[1:]))


def check_ports(ports: Sequence[Port], signature: Signature, inputs: Mapping[str, tuple[str, ...]], model: str) -> None:
    """Raise BadData naming the first port that the signature does not fill."""
    for port in ports:
        _check(port, taken(port, ports, tuple(signature.inputs), inputs), signature, model)


def _check(port: Port, names: Sequence[str], signature: Signature, model: str) -> None:
    for name in names:
        if name not in signature.inputs:
            near, known = nearest(name, signature.inputs), ", ".join(signature.inputs)
            raise BadData(f"{model!r} wants an input {name!r}{near} (the project has: {known})")
        promised = signature.inputs[name].datatype
        if (promised == "BYTES") != (port.datatype == "BYTES"):
            raise BadData(f"{model!r} wants {port.datatype} for input {name!r} and the project promises {promised}")
    if port.shape and port.shape[0] is not None:
        again = "export it with a dynamic first dimension (`dynamic_axes`, `dynamic_shapes`)"
        raise BadData(f"{model!r} takes exactly {port.shape[0]} rows at a time in {port.name!r}: {again}")
    width = sum(signature.inputs[name].width for name in names)
    if port.width is not None and port.width != width:
        raise BadData(
            f"{model!r} wants {port.width} values a row in {port.name!r} and the project promises {width} "
            f"({', '.join(names)})"
        )
