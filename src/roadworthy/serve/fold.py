"""Wrappers that only change a model's outputs run once a batch, on its arrays, where they stand innermost.

Around any other Handler the same wrapper runs request by request, through `on_response`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.errors import SpecError, nearest
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.base import Engine, Wrapper
from roadworthy.serve.columns import CONFIDENCE, SETS, array_of, confidence_of, sets_of

Arrays = Mapping[str, NDArray[Any]]


@runtime_checkable
class OnOutputs(Protocol):
    """A wrapper that can be folded: its `on_outputs` does to a batch's arrays what it does to a response.

    Pure, row by row, order kept; what it does not change it hands on. An array named `confidence` beside the outputs
    says how sure each row is, one named `prediction_set` (n,) holds a tuple of names for each row.
    """

    def on_outputs(self, outputs: Arrays) -> Arrays: ...


@dataclass(frozen=True, repr=False)
class Folded:
    """An engine whose outputs go through a wrapper. Like any stack, its repr reads from the outside in."""

    engine: Engine
    wrapper: OnOutputs

    def __call__(self, columns: Arrays) -> Arrays:
        """The wrapper's view of what the engine answers."""
        return self.wrapper.on_outputs(self.engine(columns))

    def __repr__(self) -> str:
        return f"{self.wrapper!r}({self.engine!r})"


def fold(engine: Engine, wrappers: Sequence[Wrapper]) -> tuple[Engine, Sequence[Wrapper]]:
    """The engine with the innermost (last) wrappers that can be folded, and the wrappers that are left.

    Around an engine that streams none can: there is no batch.
    """
    left = list(wrappers)
    while left and not getattr(engine, "streams", False):
        innermost = left[-1]
        if not isinstance(innermost, OnOutputs):
            break
        engine = Folded(engine, innermost)
        left.pop()
    return engine, left


async def on_response(wrapper: OnOutputs, inner: Handler, request: Request) -> Response:
    """What `inner` answers, its outputs and confidence gone through the wrapper. Raises SpecError for a stream."""
    response = await inner(request)
    if not isinstance(response.outputs, Mapping):
        name = getattr(wrapper, "catalog_name", type(wrapper).__name__)
        raise SpecError(f"a stream of tensors cannot go through `{name}`: take it out of the wrappers")
    given = {name: array_of(tensor) for name, tensor in response.outputs.items()}
    found = wrapper.on_outputs(given)
    outputs = {
        name: _tensor(name, array, response.outputs.get(name), given.get(name))
        for name, array in found.items()
        if name not in (CONFIDENCE, SETS)
    }
    sets = sets_of(found)
    return replace(
        response,
        outputs=outputs,
        confidence=_confidence(response, given, found),
        prediction_set=response.prediction_set if sets is None else sets,
    )


def output_named(outputs: Arrays, name: str, use: str) -> NDArray[Any]:
    """The output that a wrapper needs. Raises SpecError with the names that there are; `use` says what for."""
    if name not in outputs:
        has = ", ".join(outputs)
        raise SpecError(f"the model has no output {name!r} to {use}{nearest(name, outputs)} (it has: {has})")
    return outputs[name]


def _confidence(response: Response, given: Arrays, found: Arrays) -> Sequence[float] | None:
    """What the wrapper says; else what was said already, unless the probabilities are others now."""
    changed = any(found.get(name) is not given.get(name) for name in ("probability", "probabilities"))
    if response.confidence is not None and CONFIDENCE not in found and not changed:
        return response.confidence
    sure = confidence_of(found)
    return response.confidence if sure is None else sure


def _tensor(name: str, array: NDArray[Any], before: Tensor | None, given: NDArray[Any] | None) -> Tensor:
    if before is None:
        return Tensor(name, "FP64", array.shape, array.astype(np.float64).reshape(-1).tolist())
    return before if array is given else replace(before, shape=array.shape, data=array.reshape(-1).tolist())
