"""Neighbours are ordinary rows asked together with an odd one: whether they are answered as they are alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Signature
from roadworthy.core.wire import Handler
from roadworthy.evaluate.hostile.probe import Fate, Reply, Rows, probe, request_of

# The same row in another batch may differ in the last bits of a float32.
RELATIVE, ABSOLUTE = 1e-4, 1e-5


@dataclass(frozen=True)
class Neighbours:
    """Ordinary rows, what each is answered alone, and what to ask whom.

    `repeatable` is False where the same row is answered differently each time: then nothing is compared. `together`
    is False for a handler that takes one row a request only.
    """

    handler: Handler
    signature: Signature
    seconds: float
    rows: Sample
    alone: tuple[Rows, ...] = ()
    repeatable: bool = True
    together: bool = True

    async def met(self) -> Neighbours:
        """The same, knowing how ordinary rows are answered. Raises BadData where one of them is not."""
        first, again = [await self._each() for _ in range(2)]
        for reply in (*first, *again):
            if reply.fate != "answered":
                raise BadData(f"an ordinary row is not answered ({reply.because}): see to that before its edges")
        same = all(alike(a.rows, b.rows) for a, b in zip(first, again, strict=True))
        whole = await self.ask(self.rows, "together")
        return replace(
            self, alone=tuple(reply.rows for reply in first), repeatable=same, together=whole.fate == "answered"
        )

    async def ask(self, rows: Sample, name: str) -> Reply:
        """One request about these rows."""
        return await probe(self.handler, request_of(rows, self.signature, name), self.signature, self.seconds)

    async def live(self) -> bool:
        """Whether an ordinary row is still answered, within three times the usual patience."""
        for _ in range(3):
            if (await self.ask(self.rows.take(slice(0, 1)), "alive")).fate == "answered":
                return True
        return False

    async def harmed_in_one_request(self, odd: Sample) -> tuple[Fate, str]:
        """Ask with the odd rows in the middle of the ordinary ones: the fate of all, and what harm came to these."""
        half = self.rows.n // 2
        mixed = _mixed(self.rows.take(slice(0, half)), odd, self.rows.take(slice(half, None)))
        if not self.together or mixed is None:
            return "answered", ""
        reply = await self.ask(mixed, "among")
        if reply.fate not in ("answered", "not finite"):
            return reply.fate, reply.because
        places = [*range(half), *range(half + odd.n, mixed.n)]
        for row, place in enumerate(places):
            told = self._harm(row, {name: values[place : place + 1] for name, values in reply.rows.items()})
            if told:
                return reply.fate, f"in one request with it, {told}"
        return "answered", ""

    async def harmed_beside(self, odd: Sample) -> str:
        """Ask about the odd rows while every ordinary row has a caller of its own; what harm came to one of these."""
        half = self.rows.n // 2
        callers = [self.ask(self.rows.take(slice(k, k + 1)), f"beside-{k}") for k in range(self.rows.n)]
        replies = await asyncio.gather(*callers[:half], self.ask(odd, "odd"), *callers[half:])
        for row, reply in enumerate((*replies[:half], *replies[half + 1 :])):
            if reply.fate != "answered":
                return f"another caller at the same moment got no answer ({reply.fate}: {reply.because})"
            if told := self._harm(row, reply.rows):
                return f"for another caller at the same moment, {told}"
        return ""

    def _harm(self, row: int, now: Rows) -> str:
        if not self.repeatable or alike(self.alone[row], now):
            return ""
        name = next(name for name in now if not alike({name: self.alone[row][name]}, {name: now[name]}))
        return f"{name!r} of an ordinary row became {_words(now[name])} instead of {_words(self.alone[row][name])}"

    async def _each(self) -> list[Reply]:
        return [await self.ask(self.rows.take(slice(k, k + 1)), f"alone-{k}") for k in range(self.rows.n)]


def alike(one: Rows, other: Rows) -> bool:
    """Whether two answers are the same, but for the rounding that another batch may bring."""
    return all(
        len(rows) == len(other[name]) and all(_same(a, b) for a, b in zip(rows, other[name], strict=True))
        for name, rows in one.items()
    )


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind in "fiub" and other.dtype.kind in "fiub":
        return bool(np.allclose(one, other, RELATIVE, ABSOLUTE, equal_nan=True))
    return bool(one.tolist() == other.tolist())


def _mixed(before: Sample, odd: Sample, after: Sample) -> Sample | None:
    """The rows of all three as one sample; None where they do not fit together."""
    columns: dict[str, NDArray[Any]] = {}
    for name, values in before.columns.items():
        parts = [values, odd.columns.get(name), after.columns[name]]
        if any(part is None or part.shape[1:] != values.shape[1:] for part in parts):
            return None
        columns[name] = np.concatenate([part for part in parts if part is not None])
    return Sample(columns, fields=before.fields)


def _words(rows: tuple[Any, ...]) -> str:
    found: Mapping[str, Any] = {"row": [row.tolist() for row in rows]}
    flat = found["row"][0] if rows else []
    return f"{flat[0] if len(flat) == 1 else flat!r}"[:60]
