"""A response gets its prediction sets or intervals where thresholds hang on the request, or on the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from roadworthy.core.errors import SpecError
from roadworthy.core.wire import Response, Step, Tensor
from roadworthy.serve.columns import SETS, array_of
from roadworthy.serve.conformal.base import SetLeaf, Threshold


def held(leaf: SetLeaf, response: Response, threshold: Threshold, *steps: Step) -> Response:
    """The response with what `leaf` holds under the threshold, gone through the steps too.

    Raises SpecError for a stream.
    """
    outputs: Any = response.outputs
    if type(outputs) is not dict and not isinstance(outputs, Mapping):
        raise SpecError("a stream of tensors has no prediction set: take the wrapper that makes sets out of `wrappers`")
    given = {name: array_of(tensor) for name, tensor in outputs.items() if name in leaf.reads}
    found = leaf.hold(given or outputs, threshold)
    path = (*response.path, *steps)
    if SETS in found:
        return replace(response, prediction_set=found[SETS].tolist(), path=path)
    added = {
        name: Tensor(name, "FP64", array.shape, array.tolist()) for name, array in found.items() if name not in given
    }
    return replace(response, outputs={**outputs, **added}, path=path)


def stepped(response: Response, steps: Sequence[Step | None]) -> Response:
    """The response with a step for each row, None where it took none; what all of them took is on the common path."""
    if not any(steps):
        return response
    if steps[0] is not None and all(step == steps[0] for step in steps):
        return replace(response, path=(*response.path, steps[0]))
    before = response.paths or [()] * len(steps)
    return replace(
        response, paths=[way if step is None else (*way, step) for way, step in zip(before, steps, strict=True)]
    )
