"""A member of a project is asked about rows of a table: how likely each class is, or why there is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.cli.score_tables import Chunk
from roadworthy.cli.scoring import Asking
from roadworthy.core.errors import BadData, Late, Overloaded
from roadworthy.core.spec import Signature
from roadworthy.core.wire import Handler, Request, Response
from roadworthy.serve.assemble import Assembled

Floats = NDArray[np.float64]

# What is raised by a model that does not answer now, and may tomorrow.
AWAY = (ConnectionError, Late, Overloaded, TimeoutError)


class Told(NamedTuple):
    """`shares` (n, k) of each class, NaN where there is no answer; `errors` says why, row by row."""

    shares: Floats
    errors: Sequence[str | None]


@dataclass(frozen=True)
class Door:
    """A Handler that remembers when what it asks was away."""

    inner: Handler
    away: list[BaseException]

    async def __call__(self, request: Request) -> Response:
        try:
            return await self.inner(request)
        except AWAY as wrong:
            self.away.append(wrong)
            raise


class AskedMember:
    """Asks on the loop of `runner`, so that what a handler keeps between requests stays in one loop.

    `rows` are those that it was asked about and did not refuse: what a bill counts. `settled` has those of the call
    that is under way, too.
    """

    def __init__(
        self,
        name: str,
        handler: Assembled,
        signature: Signature,
        classes: int,
        batch: int,
        in_flight: int,
        runner: asyncio.Runner,
    ) -> None:
        self.name, self.rows, self.settled = name, 0, 0
        self._handler, self._signature, self._classes = handler, signature, classes
        self._batch, self._in_flight, self._runner = batch, in_flight, runner

    def ask(self, chunk: Chunk, rows: Sequence[int], tell: Callable[[int], None] = lambda row: None) -> Told:
        """About these rows of the chunk. Raises BadData where it was away for every one of them."""
        door = Door(self._handler, [])
        part = Chunk(0, chunk.frame[list(rows)])
        asking = Asking(door, self._signature, self._batch, self._in_flight)
        before = self.rows

        def count(done: int) -> None:
            self.settled = before + done
            tell(chunk.start + rows[done - 1] + 1)

        found = self._runner.run(asking(part, count))
        self.rows += sum(error is None or not error.startswith("BadRequest") for error in found.errors)
        column = next((found.outputs[name] for name in self._signature.outputs if name in found.outputs), None)
        if column is None and door.away:
            raise BadData(
                f"member {self.name!r} answers nobody now ({door.away[-1]}); what it has answered is kept: go on "
                f"with --resume when it is back"
            )
        shares = shares_of(column or [None] * len(rows), self._classes)
        known: NDArray[np.bool_] = np.isfinite(shares.sum(axis=1))
        errors = [
            None if known[k] else error or f"{self.name} gave no answer, or NaN" for k, error in enumerate(found.errors)
        ]
        return Told(shares, errors)

    def close(self) -> None:
        """Let what runs end."""
        self._runner.run(self._handler.close())


def shares_of(column: Sequence[Any], classes: int) -> Floats:
    """An output's values as the shares of `classes` classes; of two, where only the positive one's is told."""
    found = np.full((len(column), classes), np.nan)
    for row, value in enumerate(column):
        if value is None:
            continue
        given = np.asarray(value, np.float64).reshape(-1)
        if classes == 2:
            given = np.array([1 - given[-1], given[-1]])
        if len(given) != classes:
            raise BadData(f"{len(given)} numbers came back for a row, and there are {classes} classes")
        found[row] = given
    return found
