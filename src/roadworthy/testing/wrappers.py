"""The laws of wrappers: ids kept, no request lost, errors let through, as many rows out as in, and no Task needed.

A wrapper that can be folded into the engine (`serve/fold.py`) must do the same there.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.serve.columns import CONFIDENCE, SETS, array_of, confidence_of, sets_of
from roadworthy.serve.fold import Folded, OnOutputs

# Long beyond what any wrapper takes around a handler that answers at once: whoever is not back then is lost.
LOST_AFTER_SECONDS = 5.0


class Planted(Exception):
    """What the inner handler raises, to see that it comes out again."""


@dataclass
class Inner:
    """A handler that answers each row with numbers of its own after a turn of the loop, and keeps what it saw."""

    wrong: Exception | None = None
    seen: list[Request] = field(default_factory=list)

    async def __call__(self, request: Request) -> Response:
        """A `probability` (n,), `scores` (n, 3), a confidence and a step. Raises `wrong` where there is one."""
        self.seen.append(request)
        answered = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(answered.set_result, None)
        await answered
        if self.wrong is not None:
            raise self.wrong
        found = _answered(request.n)
        outputs = {name: Tensor(name, "FP64", array.shape, array.reshape(-1).tolist()) for name, array in found.items()}
        sure, seconds = confidence_of(found), {"model": 0.001}
        return Response(request.id, outputs, "inner", confidence=sure, path=(Step("inner", "asked"),), seconds=seconds)


def _answered(n: int) -> dict[str, NDArray[Any]]:
    p = np.arange(1, n + 1) / (n + 1)
    return {"probability": p, "scores": np.stack([p, 1 - 2 * p, p * p], axis=1)}


def check_wrapper(leaf: type) -> None:
    """Run every law on the example of a wrapper class.

    The class gives one: `@classmethod def example(cls) -> tuple[Wrapper, inputs]`. Raises AssertionError with the law
    that is broken.
    """
    example = getattr(leaf, "example", None)
    assert example is not None, (
        f"{leaf.__name__} has no example to check: add `@classmethod def example(cls)` that returns a wrapper with its "
        f"settings and inputs of a few rows for it, as a dict of Tensors"
    )
    made, inputs = example()
    asyncio.run(_check_all(repr(made), made, inputs))
    if isinstance(made, OnOutputs):
        asyncio.run(_check_folded(repr(made), made, inputs))


def drive(handler: Handler, request: Request) -> asyncio.Future[Response]:
    """Ask a handler as the server does: on the loop, and without a Task around it."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Response] = loop.create_future()

    async def ask() -> Response:
        return await handler(request)

    coroutine = ask()
    loop.call_soon(_step, coroutine, answer)
    return answer


def _step(coroutine: Coroutine[Any, Any, Response], answer: asyncio.Future[Response]) -> None:
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        answer.set_result(done.value)
    except Exception as wrong:
        answer.set_exception(wrong)
    else:
        _wake(waits_for, lambda: _step(coroutine, answer))


def _wake(waits_for: Any, go_on: Callable[[], None]) -> None:
    if waits_for is None:
        asyncio.get_running_loop().call_soon(go_on)
        return
    # What `await` on a future asks of whoever drives it; asyncio's Task does the same.
    waits_for._asyncio_future_blocking = False
    waits_for.add_done_callback(lambda _: go_on())


async def _check_all(name: str, wrap: Callable[[Handler], Handler], inputs: Mapping[str, Tensor]) -> None:
    await _check_answers(name, wrap, inputs)
    await _check_carries(name, wrap, inputs)
    await _check_row_counts(name, wrap, inputs)
    await _check_exceptions(name, wrap, inputs)


async def _check_answers(name: str, wrap: Callable[[Handler], Handler], inputs: Mapping[str, Tensor]) -> None:
    """Twenty requests at once: each answered, by its own id, and what `inner` said about it still there."""
    handler, requests = wrap(Inner()), [_request(f"law-{k}", inputs) for k in range(20)]
    answers = await _all(name, [drive(handler, request) for request in requests])
    for request, answer in zip(requests, answers, strict=True):
        assert not isinstance(answer, BaseException), f"{name} fails a request that it should answer: {answer!r}"
        assert answer.id == request.id, f"{name} answers request {request.id!r} with the id {answer.id!r}"
        assert Step("inner", "asked") in answer.path, f"{name} loses the path of the inner answer"
        assert "model" in answer.seconds, f"{name} loses the timings of the inner answer"


async def _check_carries(name: str, wrap: Callable[[Handler], Handler], inputs: Mapping[str, Tensor]) -> None:
    """What is not the wrapper's business reaches `inner` as it was, and the caller's request is left alone."""
    inner, request = Inner(), _request("law", inputs)
    before = copy.deepcopy(request)
    await _all(name, [drive(wrap(inner), request)])
    assert request == before, f"{name} changes the request of its caller"
    for seen in inner.seen:
        for part in ("id", "at", "key", "tags", "deadline", "shadow"):
            given, got = getattr(request, part), getattr(seen, part)
            assert got == given, f"{name} hands on `{part}` as {got!r} instead of {given!r}"


async def _check_row_counts(name: str, wrap: Callable[[Handler], Handler], inputs: Mapping[str, Tensor]) -> None:
    for n in (0, 1, next(iter(inputs.values())).shape[0]):
        request = _request("law", {key: _head(tensor, n) for key, tensor in inputs.items()})
        (answer,) = await _all(name, [drive(wrap(Inner()), request)])
        assert not isinstance(answer, BaseException), f"{name} fails a request of {n} rows: {answer!r}"
        assert isinstance(answer.outputs, Mapping), f"{name} turns an answer into a stream"
        assert answer.outputs, f"{name} loses the outputs"
        for tensor in answer.outputs.values():
            got = len(tensor.data), tensor.shape[0]
            assert got[0] >= n == got[1], f"{name} answers {n} rows with a tensor of shape {tensor.shape}"
        sure = answer.confidence
        assert sure is None or len(sure) == n, f"{name} answers {n} rows with another number of confidences: {sure!r}"
        sets = answer.prediction_set
        assert sets is None or len(sets) == n, f"{name} answers {n} rows with another number of sets: {sets!r}"


async def _check_exceptions(name: str, wrap: Callable[[Handler], Handler], inputs: Mapping[str, Tensor]) -> None:
    (answer,) = await _all(name, [drive(wrap(Inner(Planted("planted"))), _request("law", inputs))])
    assert isinstance(answer, Planted), f"{name} does not let an error of the inner handler through: {answer!r}"


async def _check_folded(name: str, made: Any, inputs: Mapping[str, Tensor]) -> None:
    """Around an engine, on a batch's arrays, it does what it does around a handler, row by row and to copies."""
    for n in (0, 1, 3):
        given = _answered(n)
        folded = Folded(lambda columns, given=given: given, made)({})
        for key, array in _answered(n).items():
            assert np.array_equal(given[key], array), f"{name} changes the arrays that it is given"
        request = _request("law", {key: _head(tensor, n) for key, tensor in inputs.items()})
        (answer,) = await _all(name, [drive(made(Inner()), request)])
        assert isinstance(answer, Response), f"{name} fails a request of {n} rows: {answer!r}"
        assert isinstance(answer.outputs, Mapping), f"{name} turns an answer into a stream"
        arrays = {key: array_of(tensor) for key, tensor in answer.outputs.items()}
        _see_alike(f"{name}, folded into the engine,", {**folded}, arrays)
        sure = confidence_of(folded)
        assert _close(answer.confidence, sure), f"{name} is sure by {answer.confidence!r}, and folded by {sure!r}"
        held = sets_of(folded)
        assert answer.prediction_set == held, f"{name} holds {answer.prediction_set!r}, and folded {held!r}"
        singles = [made.on_outputs({key: array[[k]] for key, array in given.items()}) for k in range(n)]
        for k, single in enumerate(singles):
            _see_alike(f"{name}, on row {k} alone,", single, {key: array[[k]] for key, array in folded.items()})
            alone, among = sets_of(single), None if held is None else held[k : k + 1]
            assert alone == among, f"{name}, on row {k} alone, holds {alone!r} instead of {among!r}"


def _see_alike(what: str, got: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    names = got.keys() - {CONFIDENCE, SETS}
    assert names == wanted.keys() - {CONFIDENCE, SETS}, f"{what} answers {sorted(names)} instead of {sorted(wanted)}"
    for name in names:
        assert got[name].shape == wanted[name].shape, f"{what} gives {name!r} the shape {got[name].shape}"
        assert _close(got[name], wanted[name]), f"{what} answers {got[name]!r} for {name!r} instead of {wanted[name]!r}"


def _close(got: Any, wanted: Any) -> bool:
    if got is None or wanted is None:
        return got is wanted
    return np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-6, atol=1e-9, equal_nan=True)


async def _all(name: str, answers: list[asyncio.Future[Response]]) -> list[Response | BaseException]:
    waiting: Awaitable[Any] = asyncio.wait(answers, timeout=LOST_AFTER_SECONDS)
    _, lost = await waiting
    assert not lost, f"{name} loses {len(lost)} of {len(answers)} requests: neither an answer nor an error comes"
    return await asyncio.gather(*answers, return_exceptions=True)


def _request(identity: str, inputs: Mapping[str, Tensor]) -> Request:
    # A copy each: a wrapper that changes its request must not spoil the next one before that is seen.
    inputs = copy.deepcopy(dict(inputs))
    return Request(identity, inputs, 1.0e9, f"key of {identity}", {"segment": "a"}, deadline=1.0e12, shadow=True)


def _head(tensor: Tensor, n: int) -> Tensor:
    values = len(tensor.data) // tensor.shape[0]
    return Tensor(tensor.name, tensor.datatype, (n, *tensor.shape[1:]), list(tensor.data)[: n * values])
