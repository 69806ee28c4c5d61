"""Faults of candidates that no offline test shows: each lies in what stands between the request and the model."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from msgspec.structs import replace

from roadworthy.core.wire import Handler, Request, Response, Tensor

WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")
Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class Stale:
    """The weather feed hangs: a row sees what an earlier row of its `by` saw at least `hours` ago.

    A row with nothing so early keeps what it has, as with the corruption of that name.
    """

    hours: float
    by: str = "origin"
    columns: tuple[str, ...] = WEATHER

    def __call__(self, inner: Handler) -> Handler:
        """The handler that asks `inner` about yesterday's weather; it remembers what it was shown."""
        seen: dict[str, deque[tuple[float, Values]]] = defaultdict(deque)

        async def answer(request: Request) -> Response:
            known = seen[str(request.inputs[self.by].data[0])]
            known.append((request.at, {name: request.inputs[name] for name in self.columns}))
            old = self._newest(known, request.at - 3600 * self.hours)
            return await inner(replace(request, inputs={**request.inputs, **old}))

        return answer

    def _newest(self, known: deque[tuple[float, Values]], until: float) -> Values:
        while len(known) > 1 and known[1][0] <= until:
            known.popleft()
        return known[0][1] if known[0][0] <= until else {}


@dataclass(frozen=True)
class Slow:
    """Something beside the model takes `seconds` longer: a look-up that was not there before."""

    seconds: float = 0.03

    def __call__(self, inner: Handler) -> Handler:
        """The handler that waits before it asks `inner`."""

        async def answer(request: Request) -> Response:
            await asyncio.sleep(self.seconds)
            return await inner(request)

        return answer


@dataclass(frozen=True)
class Garbled:
    """The scores of one carrier are jumbled: normal noise of `spread` on their log-odds, all others untouched."""

    carrier: str
    spread: float = 1.0
    output: str = "probability"

    def __call__(self, inner: Handler) -> Handler:
        """The handler that spoils what `inner` answers to the carrier's rows."""

        async def answer(request: Request) -> Response:
            response = await inner(request)
            if request.inputs["carrier"].data[0] != self.carrier or not isinstance(response.outputs, Mapping):
                return response
            given = response.outputs[self.output]
            moved = self.moved(float(np.asarray(given.data).reshape(-1)[0]), request.id)
            outputs = {**response.outputs, self.output: replace(given, data=[moved])}
            return replace(response, outputs=outputs, confidence=[max(moved, 1 - moved)])

        return answer

    def moved(self, probability: float, id: str) -> float:
        """The probability with its noise, which follows from the id of the request."""
        drawn = int.from_bytes(hashlib.blake2b(f"{self.carrier}:{id}".encode(), digest_size=6).digest())
        kept = min(max(probability, 1e-6), 1 - 1e-6)
        odds = math.log(kept / (1 - kept)) + self.spread * NormalDist().inv_cdf((drawn + 0.5) / 2**48)
        return 1 / (1 + math.exp(-odds))
