"""Matching gives each answer to the rows whose request id it carries, and names the ids that do not fit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Response
from roadworthy.evaluate.answers import check_columns, drained, request_of, shaped
from roadworthy.evaluate.scoring import known

Rows = NDArray[np.int64]


class Fault(Struct, frozen=True):
    """An answer under an id that does not fit: the caller of `asked` was handed one that carries `carried`.

    Swapped: the id of another caller. Answered twice: an id whose answer had come before. Never asked: nobody's id.
    """

    kind: Literal["swapped", "answered twice", "never asked"]
    asked: str
    carried: str

    def __str__(self) -> str:
        if self.kind == "answered twice":
            return f"the id {self.carried!r} was answered twice"
        whose = "which was never asked" if self.kind == "never asked" else "which another caller asked"
        return f"the caller of {self.asked!r} got an answer with the id {self.carried!r}, {whose}"


@dataclass(frozen=True)
class Matched:
    """Answers in the order of the sample: `values` (n,) or (n, width) are floats, or text.

    A row that failed is NaN (None among text), with its reason in `failed`. `peak` counts the most requests that were
    in flight at once, `remembered` the answers that say that they came out of a cache.
    """

    values: NDArray[Any]
    failed: Mapping[int, str]
    faults: tuple[Fault, ...]
    peak: int
    remembered: int
    requests: int

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which rows have an answer (n,)."""
        found = np.ones(len(self.values), dtype=bool)
        found[list(self.failed)] = False
        return found

    @property
    def reasons(self) -> dict[str, int]:
        """How many rows failed for each reason, the commonest first."""
        return dict(Counter(self.failed.values()).most_common())


async def ask_matched(
    handler: Handler,
    sample: Sample,
    signature: Signature,
    groups: Sequence[Rows],
    in_flight: int,
    prefix: str,
    patience_seconds: float = 60.0,
    parameters: Mapping[str, Any] | None = None,
) -> Matched:
    """Ask about each group of rows in a request of its own, `in_flight` at a time, and match the answers by their ids.

    No order of completion can move an answer to another row. A request that raises, or is not answered within
    `patience_seconds`, leaves its rows without an answer, with the reason. `parameters` go with every request.
    """
    check_columns(sample, signature)
    asked = {f"{prefix}-{number}": rows for number, rows in enumerate(groups)}
    output, kind = next(iter(signature.outputs.items()))
    found = _Found(output, kind, asked)
    waiting = iter(asked.items())

    async def work() -> None:
        for name, rows in waiting:
            request = request_of(sample.take(rows), signature, name, parameters)
            found.began()
            try:
                async with asyncio.timeout(patience_seconds) as limit:
                    response = await handler(request)
                    values = await drained(response, output)
            # Whatever a handler raises is what a caller would have met: it becomes the reason of these rows.
            except Exception as wrong:
                late = f"no answer within {patience_seconds:g} s"
                found.lost(name, late if limit.expired() else f"{type(wrong).__name__}: {wrong}")
            else:
                found.came(name, response, values)
            finally:
                found.in_flight -= 1

    await asyncio.gather(*(work() for _ in range(in_flight)))
    return found.matched(sample.n)


@dataclass
class _Found:
    """What came back up to now."""

    output: str
    kind: Field
    asked: Mapping[str, Rows]
    in_flight: int = 0
    peak: int = 0
    remembered: int = 0
    answers: dict[str, NDArray[Any]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    own: set[str] = field(default_factory=set)

    def began(self) -> None:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)

    def lost(self, name: str, because: str) -> None:
        self.reasons[name] = because

    def came(self, name: str, response: Response, data: Any) -> None:
        carried = response.id
        # The cache of `serve` says so on the way; a miss went on to the model.
        ways = (response.path, *(response.paths or ()))
        self.remembered += any(step.at == "cache" and step.because != "miss" for way in ways for step in way)
        if carried not in self.asked:
            self.faults.append(Fault("never asked", name, carried))
            self.lost(name, "its answer carries an id that was never asked")
            return
        if carried != name:
            self.faults.append(Fault("swapped", name, carried))
        if carried in self.answers:
            self.faults.append(Fault("answered twice", name, carried))
        # Of two answers under one id we believe the one that its own caller got.
        if carried == name or carried not in self.own:
            self.keep(carried, data)
        if carried == name:
            self.own.add(name)

    def keep(self, name: str, data: Any) -> None:
        try:
            self.answers[name] = shaped(data, self.kind, len(self.asked[name]))
        except (BadData, ValueError, TypeError) as wrong:
            self.lost(name, f"{type(wrong).__name__}: {wrong}")

    def matched(self, n: int) -> Matched:
        text = self.kind.datatype == "BYTES"
        shape = (n, self.kind.width) if self.kind.width > 1 and not text else (n,)
        values: NDArray[Any] = np.full(shape, None if text else np.nan, dtype=object if text else np.float64)
        failed: dict[int, str] = {}
        for name, rows in self.asked.items():
            if name in self.answers:
                values[rows] = self.answers[name]
            else:
                failed.update(dict.fromkeys(rows.tolist(), self.reasons.get(name, "no answer came under its id")))
        for row in np.flatnonzero(~known(values)):
            failed.setdefault(int(row), "null, or NaN, came back for the row")
        return Matched(values, failed, tuple(self.faults), self.peak, self.remembered, len(self.asked))
