"""Handlers with a dial are turned to where the store says that it stands: what follows labels and rows in a server.

A shadow runs in a process of its own, which is told and turns its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping

from sqlalchemy import Engine

from roadworthy.app.absent import Absent
from roadworthy.app.apart import Apart
from roadworthy.app.mixture import Mixture
from roadworthy.core.dials import Dial, Dialled
from roadworthy.core.errors import RoadworthyError
from roadworthy.serve.assemble import Assembled
from roadworthy.store.dials import newest_dials

log = logging.getLogger(__name__)


class Turning:
    """Remembers where each loaded handler was turned to last, so that the same is not done twice."""

    def __init__(self, engine: Engine, deployment: str) -> None:
        self._engine, self._deployment = engine, deployment
        self._turned: dict[tuple[str, str], tuple[Dialled, Dial]] = {}

    async def turn(self, loaded: Mapping[str, Assembled | Mixture]) -> None:
        """Turn what has moved. A dial that a handler cannot read is logged, and the handler stays as it was."""
        self._turned = {key: turned for key, turned in self._turned.items() if key[0] in loaded}
        for digest, made in loaded.items():
            handlers = list(dialled(made))
            if not handlers:
                continue
            stands = await self._stands(digest)
            for handler in handlers:
                if handler.dial in stands:
                    self._put(digest, handler, stands[handler.dial])

    async def turn_apart(self, shadows: Mapping[str, Apart]) -> None:
        """The same in the processes of mirrored releases. One that does not take it is logged, and told again later."""
        for digest, apart in shadows.items():
            stands = await self._stands(digest)
            try:
                await apart.turn(tuple(stands.values()))
            except RoadworthyError:
                log.exception("the shadow of release %s stays where it is", digest[:12])

    async def _stands(self, digest: str) -> dict[str, Dial]:
        return await asyncio.to_thread(newest_dials, self._engine, self._deployment, digest)

    def _put(self, digest: str, handler: Dialled, dial: Dial) -> None:
        before = self._turned.get((digest, handler.dial))
        # A release that was let go and loaded again has other handlers, which begin where it was released.
        if before is not None and before[0] is handler and before[1] == dial:
            return
        self._turned[digest, handler.dial] = (handler, dial)
        put(handler, dial, digest)


def put(handler: Dialled, dial: Dial, digest: str) -> None:
    """Turn a handler; what it cannot read is logged, and it stays as it was."""
    try:
        handler.turn(dial)
    except RoadworthyError:
        log.exception("dial %r of release %s stays where it is", dial.name, digest[:12])


def dialled(made: Assembled | Mixture | Absent) -> Iterator[Dialled]:
    """Every handler with a dial in a release, those of its members too."""
    if isinstance(made, Absent):
        return
    handlers: tuple[object, ...] = made.handlers
    yield from (handler for handler in handlers if isinstance(handler, Dialled))
    if isinstance(made, Mixture):
        for part in made.parts.values():
            yield from dialled(part)
