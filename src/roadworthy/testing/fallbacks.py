"""The laws of fallbacks: each row answered as the signature says, by the same id, at once, and without a Task."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.fallback import FallbackLeaf, Given
from roadworthy.testing.wrappers import LOST_AFTER_SECONDS, drive

_TYPES: Mapping[str, tuple[type, ...]] = {
    "FP32": (float, int),
    "INT64": (int,),
    "BOOL": (bool,),
    "BYTES": (str,),
}
_NO_NUMBERS = (math.inf, -math.inf)


def check_fallback(leaf: type, folder: Path) -> None:
    """Run every law on the example of a fallback class, its files being written into `folder`.

    The class gives one: `@classmethod def example(cls, folder: Path) -> tuple[FallbackLeaf, Given, inputs]`. Raises
    AssertionError with the law that is broken.
    """
    example = getattr(leaf, "example", None)
    assert example is not None, (
        f"{leaf.__name__} has no example to check: add `@classmethod def example(cls, folder: Path)` that returns a "
        f"fallback with its settings, the Given that it is made with, and inputs of a few rows as a dict of Tensors"
    )
    made, given, inputs = example(folder)
    asyncio.run(_check_all(made, given, inputs))


async def _check_all(made: FallbackLeaf, given: Given, inputs: Mapping[str, Tensor]) -> None:
    name, n = repr(made), next(iter(inputs.values())).shape[0]
    assert n >= 2, f"the example of {name} has {n} rows; the laws need at least 2"
    one = {key: _head(tensor, 1) for key, tensor in inputs.items()}
    for rows in (one, inputs):
        handler, request = made(given), Request("law", copy.deepcopy(dict(rows)), 1.0e9, "key", {"segment": "a"})
        _show(handler, request, given.signature)
        before = copy.deepcopy(request)
        first, again = await _ask(name, handler, request), await _ask(name, handler, request)
        assert request == before, f"{name} changes the request of its caller"
        assert first.id == again.id == "law", f"{name} answers request 'law' with the id {first.id!r}"
        _check_outputs(name, first, request.n, given.signature)
        same = repr((first.outputs, first.confidence)) == repr((again.outputs, again.confidence))
        assert same, f"{name} answers otherwise when it is asked the same again"


def _show(handler: Handler, request: Request, signature: Signature) -> None:
    """A good answer for those fallbacks that learn from them."""
    learn = getattr(handler, "learn", None)
    if learn is not None:
        outputs = {name: _made_up(name, field, request.n) for name, field in signature.outputs.items()}
        learn(request, Response(request.id, outputs, "model", confidence=[0.75] * request.n))


def _made_up(name: str, field: Field, n: int) -> Tensor:
    value: Any = {"FP32": 0.25, "INT64": 1, "BOOL": True, "BYTES": "a"}[field.datatype]
    return Tensor(name, field.datatype, (n,) if field.width == 1 else (n, field.width), [value] * n * field.width)


async def _ask(name: str, handler: Handler, request: Request) -> Response:
    answer = drive(handler, request)
    await asyncio.wait([answer], timeout=LOST_AFTER_SECONDS)
    assert answer.done(), f"{name} loses a request: neither an answer nor an error comes"
    wrong = answer.exception()
    assert wrong is None, f"{name} cannot answer its own example: {wrong!r}"
    return answer.result()


def _check_outputs(name: str, answer: Response, n: int, signature: Signature) -> None:
    outputs = answer.outputs
    assert isinstance(outputs, Mapping), f"{name} answers a stream"
    missing = [wanted for wanted in signature.outputs if wanted not in outputs]
    assert not missing, f"{name} answers without {', '.join(map(repr, missing))}, which the signature promises"
    for output, field in signature.outputs.items():
        tensor = outputs[output]
        many = len(tensor.data), tensor.shape[0]
        right = many == (n * field.width, n)
        assert right, f"{name} answers {n} rows with {len(tensor.data)} values of shape {tensor.shape} in {output!r}"
        for value in tensor.data:
            fits = type(value) in _TYPES[field.datatype] and value not in _NO_NUMBERS and value == value
            assert fits, f"{name} answers {value!r} in {output!r}, which holds {field.kind}s"
    sure = answer.confidence
    assert sure is None or len(sure) == n, f"{name} answers {n} rows with another number of confidences: {sure!r}"


def _head(tensor: Tensor, n: int) -> Tensor:
    width = len(tensor.data) // tensor.shape[0]
    return Tensor(tensor.name, tensor.datatype, (n, *tensor.shape[1:]), list(tensor.data)[: n * width])
