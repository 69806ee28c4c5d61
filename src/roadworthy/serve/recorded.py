"""Recorded answers only after one Record a row is kept, also for requests that failed or that nobody waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.record import Record
from roadworthy.core.wire import Arm, Handler, Request, Response, Tensor
from roadworthy.serve.meter import Meter

Keep = Callable[[Callable[[], Iterable[Record]]], Awaitable[None]]


class Recorded:
    """A Handler that measures `inner`, names its release and arm, and hands its rows to `keep`; `meter` counts them.

    `keep` gets a function that makes the records later, out of values that nobody changes any more; what it returns is
    awaited before the answer goes out. A caller who goes away is not waited for, but recorded. An answer of the arm
    "fallback" stays one, and keeps the release that it names.
    """

    def __init__(
        self,
        inner: Handler,
        keep: Keep,
        release: str,
        arm: Arm,
        now: Callable[[], float] = time.perf_counter,
        meter: Meter | None = None,
    ) -> None:
        self.inner, self.keep, self.release, self.arm = inner, keep, release, arm
        self.meter = Meter() if meter is None else meter
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
        outputs = response.outputs
        # The first question answers the second for all but streams, in a tenth of its time.
        if type(outputs) is not dict and not isinstance(outputs, Mapping):
            return replace(response, outputs=self._drained(request, response, outputs, started))
        response = self._named(request, response, started)
        await self.keep(partial(rows_of, request, response))
        return response

    def _named(self, request: Request, response: Response, started: float) -> Response:
        """The answer with its time, release and arm, counted."""
        total = self._now() - started
        self.meter.add(request.n, total, response.seconds)
        if unsure := response.parameters.get("abstained"):  # of a mark a row, as `wrappers.abstain` sets them
            self.meter.abstained += sum(unsure)
        seconds = {**response.seconds, "total": total}
        if response.arm == "fallback":
            self.meter.fallbacks += 1
            return replace(response, release=response.release or self.release, seconds=seconds)
        return replace(response, release=self.release, arm=self.arm, seconds=seconds)

    def _failed(self, request: Request, wrong: BaseException, started: float) -> Callable[[], list[Record]]:
        self.meter.fail(request.n, wrong)
        nothing = Response(request.id, {}, self.release, self.arm, seconds={"total": self._now() - started})
        return partial(rows_of, request, nothing, f"{type(wrong).__name__}: {wrong}")

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
        whole = replace(self._named(request, response, started), outputs=_joined(pieces, max(1, request.n)))
        await self.keep(partial(rows_of, request, whole))


def rows_of(request: Request, response: Response, error: str | None = None) -> list[Record]:
    """One Record for each row of the request, with the row's values of every tensor of `response` (drained)."""
    outputs, inputs, n = _outputs(response), request.inputs, request.n
    if n == 1:  # nearly always, and then nothing need be cut
        asked = {name: _only(tensor.data) for name, tensor in inputs.items()}
        answered = {name: _only(tensor.data) for name, tensor in outputs.items()}
        return [_record(request, response, error, 0, request.id, asked, answered, response.usd)]
    given = {name: values_of(tensor) for name, tensor in inputs.items()}
    found = {name: values_of(tensor) for name, tensor in outputs.items()}
    paid = response.usd_of_rows(n)
    return [
        _record(
            request,
            response,
            error,
            k,
            f"{request.id}.{k}",
            {name: values[k] for name, values in given.items()},
            {name: values[k] for name, values in found.items()},
            paid[k],
        )
        for k in range(n)
    ]


def _record(
    request: Request,
    response: Response,
    error: str | None,
    k: int,
    id: str,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    usd: float | None,
) -> Record:
    """The Record of row k."""
    sure, sets = response.confidence, response.prediction_set
    return Record(
        id,
        request.at,
        response.release,
        response.arm,
        inputs,
        outputs,
        None if sure is None or sure[k] != sure[k] else float(sure[k]),
        None if sets is None else tuple(sets[k]),
        response.path if response.paths is None else response.row_path(k),
        response.seconds,
        None,
        usd,
        request.tags,
        error,
    )


def _outputs(response: Response) -> Mapping[str, Tensor]:
    outputs = response.outputs
    # The first question answers the second for all but streams, in a tenth of its time.
    return outputs if type(outputs) is dict or isinstance(outputs, Mapping) else {}


def _only(data: Any) -> Any:
    """The value of the only row, as `values_of` gives it."""
    if type(data) is list:
        return data[0] if len(data) == 1 else data
    array: NDArray[Any] = np.asarray(data)
    if array.size == 1:
        return array.item()
    return array if array.ndim == 1 else array.reshape(-1)


def values_of(tensor: Tensor) -> Sequence[Any]:
    """A tensor as one value a row: a scalar where a row has one value, else its values in order, as a list or array.

    What came as an array stays one, because the log writes its bytes; a list of its numbers would cost it more.
    """
    data, n = tensor.data, tensor.shape[0]
    if not isinstance(data, list):
        array: NDArray[Any] = np.asarray(data)
        return array.reshape(-1).tolist() if array.size == n else list(array.reshape(n, -1))
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
