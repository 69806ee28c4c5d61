"""Absent stands in for a model elsewhere that does not answer while the others are loaded, and tries it when needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from roadworthy.core.measure import Measurement
from roadworthy.core.wire import Request, Response
from roadworthy.serve.assemble import Assembled
from roadworthy.serve.batch_counts import Snapshot

log = logging.getLogger(__name__)


class Absent:
    """A member of a mixture that could not be loaded because of `wrong`; whoever asks for it tries once more.

    `make` gives the member, loaded; it may block, and is not called in the event loop.
    """

    def __init__(self, name: str, make: Callable[[], Assembled], wrong: Exception) -> None:
        self.name, self.wrong = name, wrong
        self._make = make
        self._made: Assembled | None = None
        self._trying: asyncio.Future[Assembled] | None = None
        log.warning("%r does not answer, and is asked again when it is needed: %s", name, wrong)

    def __repr__(self) -> str:
        return f"Absent({self.name!r})" if self._made is None else repr(self._made)

    async def __call__(self, request: Request) -> Response:
        """The member's answer, once it could be made. Raises what kept it from that."""
        if self._made is None:
            if self._trying is None:
                self._trying = asyncio.get_running_loop().run_in_executor(None, self._make)
                self._trying.add_done_callback(self._tried)
            self._made = await asyncio.shield(self._trying)
        return await self._made(request)

    def warm_up(self) -> None:
        """Nothing: it is loaded when it is asked."""

    def snapshot(self) -> Snapshot | None:
        """Nothing before it is there."""
        return self._made.snapshot() if self._made is not None else None

    @property
    def rows_waiting(self) -> int:
        """None before it is there."""
        return self._made.rows_waiting if self._made is not None else 0

    def measurements(self, usd_per_hour: float = 0.0) -> tuple[Measurement, ...]:
        """Nothing before it is there."""
        return self._made.measurements(usd_per_hour) if self._made is not None else ()

    async def close(self) -> None:
        """Close what was made."""
        if self._made is not None:
            await self._made.close()

    def _tried(self, trying: asyncio.Future[Assembled]) -> None:
        self._trying = None
        if not trying.cancelled() and trying.exception() is None:
            log.info("%r answers now", self.name)
