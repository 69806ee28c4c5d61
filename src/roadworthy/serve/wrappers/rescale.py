"""A conversion of units of one input, on its way to the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace

from roadworthy.core.errors import BadRequest, nearest
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.fold import Arrays


@wrapper("rescale")
@dataclass(frozen=True)
class Rescale:
    """One input becomes `value * scale + offset`, then the rest after `modulo`; a null stays one.

    Fahrenheit becomes Celsius with scale 5/9 and offset -160/9; an hour moves five zones with offset 5, modulo 24.
    Integers are rounded and stay integers. The caller's own request, and so its Record, keeps the value as it came.
    """

    column: str
    scale: float = 1.0
    offset: float = 0.0
    modulo: float | None = None

    def __post_init__(self) -> None:
        if self.modulo is not None and self.modulo <= 0:
            raise ValueError(f"`modulo` must be above 0, got {self.modulo!r}")

    def __call__(self, inner: Handler) -> Handler:
        """The handler that asks `inner` about the converted rows."""
        return partial(self._ask, inner)

    def rehearse(self, outputs: Arrays) -> Arrays:
        """The outputs: it changes requests."""
        return outputs

    @classmethod
    def example(cls) -> tuple[Rescale, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls("x", scale=2.0, offset=1.0, modulo=24.0), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    async def _ask(self, inner: Handler, request: Request) -> Response:
        tensor = request.inputs.get(self.column)
        if tensor is None or tensor.datatype in ("BYTES", "BOOL"):
            raise BadRequest(f"no input {self.column!r} with numbers to rescale{nearest(self.column, request.inputs)}")
        converted = replace(tensor, data=self._converted(tensor))
        return await inner(replace(request, inputs={**request.inputs, self.column: converted}))

    def _converted(self, tensor: Tensor) -> Any:
        whole = "INT" in tensor.datatype
        if isinstance(tensor.data, list):
            return [None if x is None else self._moved(x, whole) for x in tensor.data]
        data = np.asarray(tensor.data)
        moved = data * self.scale + self.offset
        moved = moved if self.modulo is None else moved % self.modulo
        return (np.rint(moved) if whole else moved).astype(data.dtype)

    def _moved(self, x: float, whole: bool) -> float:
        moved = x * self.scale + self.offset
        moved = moved if self.modulo is None else moved % self.modulo
        return round(moved) if whole else moved
