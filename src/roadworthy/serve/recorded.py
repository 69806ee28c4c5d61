"""Recorded answers only after one Record a row is kept, also for requests that failed or that nobody waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from roadworthy.core.record import Record
from roadworthy.core.wire import Arm, Handler, Request, Response, Tensor

Keep = Callable[[Callable[[], Iterable[Record]]], Awaitable[None]]


class Recorded:
    """A Handler that measures `inner`, names its release and arm, and hands its rows to `keep`.

    `keep` gets a function that makes the records later, on another thread, out of immutable values; what it returns
    is awaited before the answer goes out. A caller who goes away is not waited for, but recorded.
    """

    def __init__(
        self, inner: Handler, keep: Keep, release: str, arm: Arm, now: Callable[[], float] = time.perf_counter
    ) -> None:
        self.inner, self.keep, self.release, self.arm = inner, keep, release, arm
        self._now = now
        self._unawaited: set[asyncio.Future[None]] = set()

    def __repr__(self) -> str:
        return f"Recorded({self.inner!r}, release={self.release!r}, arm={self.arm!r})"

    async def __call__(self, request: Request) -> Response:
        """The inner answer. Raises what `inner` raises, and what `keep` raises: an unkept answer is no answer."""
        started = self._now()
        try:
            response = await self.inner(request)
        except (asyncio.CancelledError, GeneratorExit):
            self._keep_unawaited(self._failed(request, asyncio.CancelledError("the caller went away"), started))
            raise
        except Exception as wrong:
            await self.keep(self._failed(request, wrong, started))
            raise
        response = self._named(response, started)
        if not isinstance(response.outputs, Mapping):
            return replace(response, outputs=self._drained(request, response, response.outputs, started))
        await self.keep(lambda: rows_of(request, response))
        return response

    def _named(self, response: Response, started: float) -> Response:
        seconds = {**response.seconds, "total": self._now() - started}
        return replace(response, release=self.release, arm=self.arm, seconds=seconds)

    def _failed(self, request: Request, wrong: BaseException, started: float) -> Callable[[], list[Record]]:
        nothing = Response(request.id, {}, self.release, self.arm, seconds={"total": self._now() - started})
        error = f"{type(wrong).__name__}: {wrong}"
        return lambda: rows_of(request, nothing, error)

    def _keep_unawaited(self, make: Callable[[], list[Record]]) -> None:
        # Whoever was cancelled may not await: its driver is gone, or is closing the coroutine at this very moment.
        kept = asyncio.ensure_future(self.keep(make))
        self._unawaited.add(kept)
        kept.add_done_callback(self._unawaited.discard)

    async def _drained(
        self, request: Request, response: Response, stream: AsyncIterator[Tensor], started: float
    ) -> AsyncIterator[Tensor]:
        """The stream as it arrives; its record is kept when it ends, with all of its pieces in one output."""
        pieces: list[Tensor] = []
        try:
            async for tensor in stream:
                pieces.append(tensor)
                yield tensor
        except (asyncio.CancelledError, GeneratorExit):
            self._keep_unawaited(self._failed(request, asyncio.CancelledError("the caller went away"), started))
            raise
        except Exception as wrong:
            await self.keep(self._failed(request, wrong, started))
            raise
        whole = replace(self._named(response, started), outputs=_joined(pieces, max(1, request.n)))
        await self.keep(lambda: rows_of(request, whole))


def rows_of(request: Request, response: Response, error: str | None = None) -> list[Record]:
    """One Record for each row of the request, with the row's values of every tensor of `response` (drained)."""
    n = request.n
    inputs = [(name, values_of(tensor)) for name, tensor in request.inputs.items()]
    outputs = response.outputs if isinstance(response.outputs, Mapping) else {}
    answers = [(name, values_of(tensor)) for name, tensor in outputs.items()]
    sure, sets = response.confidence, response.prediction_set
    return [
        Record(
            id=request.id if n == 1 else f"{request.id}.{k}",
            at=request.at,
            release=response.release,
            arm=response.arm,
            inputs={name: values[k] for name, values in inputs},
            outputs={name: values[k] for name, values in answers},
            confidence=None if sure is None else float(sure[k]),
            prediction_set=None if sets is None else tuple(sets[k]),
            path=response.path,
            seconds=response.seconds,
            usd=None if response.usd is None else response.usd / n,
            tags=request.tags,
            error=error,
        )
        for k in range(n)
    ]


def values_of(tensor: Tensor) -> list[Any]:
    """A tensor as one value a row: a scalar where a row has one value, else a list of its values in order."""
    data = tensor.data if isinstance(tensor.data, list) else np.asarray(tensor.data).reshape(-1).tolist()
    n = tensor.shape[0]
    if len(data) == n:
        return data
    width = len(data) // n if n else 0
    return [data[k * width : (k + 1) * width] for k in range(n)]


def _joined(pieces: list[Tensor], n: int) -> dict[str, Tensor]:
    """The pieces of each name, joined into one tensor of n rows (a stream answers one row at a time)."""
    data: dict[str, list[Any]] = {}
    for piece in pieces:
        data.setdefault(piece.name, []).extend(values_of(piece))
    kinds = {piece.name: piece.datatype for piece in pieces}
    return {name: Tensor(name, kinds[name], (n, len(values) // n), values) for name, values in data.items()}
