"""Scoring asks a release about every row of a table, as a client would, and writes the answers beside the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from roadworthy.app.edge import Edge
from roadworthy.cli.score_parts import Parts, Plan
from roadworthy.cli.score_tables import Chunk, bytes_of, cells, chunks, column_names, count_rows, format_of
from roadworthy.core.errors import BadData, BadRequest, Late, Overloaded, nearest
from roadworthy.core.spec import Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.recorded import values_of

if TYPE_CHECKING:
    import polars

    from roadworthy.app.mixture import Mixture
    from roadworthy.serve.assemble import Assembled

Ask = Callable[[Request], Awaitable[Response]]

# The columns that scoring adds beside the outputs.
ADDED = ("confidence", "prediction_set", "release", "error")
IN_FLIGHT = 4
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Scored:
    """What became of a scoring: `reasons` counts the rows that failed, the commonest reason first."""

    rows: int
    failed: int
    resumed_at: int
    release: str
    output: str
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class Job:
    """A table to score: which release asks for which inputs, what is carried over, and in what portions.

    `rows` is how many are scored at most (None: all). `batch` rows are asked about at a time, `part_rows` are written
    at a time; memory grows with `part_rows`, and not with the table.
    """

    source: Path
    output: Path
    release: str
    signature: Signature
    carried: tuple[str, ...] = ()
    rows: int | None = None
    batch: int = 256
    part_rows: int = 65_536

    def __post_init__(self) -> None:
        if min(self.batch, self.part_rows) < 1 or (self.rows is not None and self.rows < 1):
            given = f"{self.batch!r}, {self.part_rows!r} and {self.rows!r}"
            raise BadRequest(f"--batch, --part-rows and --rows must be at least 1, got {given}")

    def wanted(self) -> list[str]:
        """The columns to read, after a look at what the table has. Raises BadData naming one that is absent."""
        names = column_names(self.source)
        for name in (*self.signature.inputs, *self.carried):
            if name not in names:
                what = "which the model needs" if name in self.signature.inputs else "which --columns asks for"
                known = f"{nearest(name, names)} (it has: {', '.join(names)})"
                raise BadData(f"{str(self.source)!r} has no column {name!r}, {what}{known}")
        for name in self.carried:
            if name in (*self.signature.outputs, *ADDED):
                raise BadData(f"--columns {name!r} is also the name of a column that scoring writes; rename it")
        return list(dict.fromkeys((*self.signature.inputs, *self.carried)))


def score(
    job: Job, made: Assembled | Mixture, resume: bool, in_flight: int, tell: Callable[[int, int | None], None]
) -> Scored:
    """Score the table, going on where complete parts end, and write the output. `tell` gets rows done and to do.

    Raises BadData for a table without the columns or without rows, Taken where an unfinished scoring is there.
    """
    wanted, file = job.wanted(), bytes_of(job.source)
    kind = format_of(job.output, "output")
    plan = Plan(file.digest, job.release, job.rows, job.carried, job.batch, job.part_rows, kind)
    parts = Parts(job.output, plan)
    with parts.held(resume):
        first = parts.done()
        total = _least(count_rows(job.source, file.lines), job.rows)
        tell(first * job.part_rows, total)
        asyncio.run(_score_rest(job, made, parts, wanted, in_flight, lambda done: tell(done, total)))
        rows, reasons = parts.tally()
        if not rows:
            parts.discard()
            raise BadData(f"{str(job.source)!r} has no rows to score")
        parts.finish()
    return Scored(rows, sum(reasons.values()), first * job.part_rows, job.release, str(job.output), reasons)


async def _score_rest(
    job: Job,
    made: Assembled | Mixture,
    parts: Parts,
    wanted: Sequence[str],
    in_flight: int,
    tell: Callable[[int], None],
) -> None:
    number = parts.done()
    asking = Asking(made, job.signature, job.batch, in_flight)
    try:
        for chunk in chunks(job.source, wanted, number * job.part_rows, job.rows, job.part_rows):
            answers = await asking(chunk, tell)
            parts.add(number, answers.frame(job, chunk))
            number += 1
    finally:
        await made.close()


@dataclass
class Answers:
    """The answers to a chunk, row by row: None where there is none, and then the reason is in `errors`."""

    n: int
    outputs: dict[str, list[Any]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    confidence: list[float | None] = field(default_factory=list)
    sets: list[Sequence[str] | None] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.confidence, self.sets, self.errors = [None] * self.n, [None] * self.n, [None] * self.n

    def put(self, rows: Sequence[int], response: Response) -> None:
        """Write an answer to its rows. Raises BadData where it does not have a value for each."""
        if not isinstance(response.outputs, Mapping):
            raise BadData("the answer is a stream, which has no row to stand in")
        for name, tensor in response.outputs.items():
            if tensor.shape[0] != len(rows):
                raise BadData(f"{tensor.shape[0]} rows of output {name!r} came back for {len(rows)}")
            column = self.outputs.setdefault(name, [None] * self.n)
            self.kinds.setdefault(name, tensor.datatype)
            for row, value in zip(rows, values_of(tensor), strict=True):
                column[row] = value
        for row, k in zip(rows, range(len(rows)), strict=True):
            self.confidence[row] = None if response.confidence is None else float(response.confidence[k])
            self.sets[row] = None if response.prediction_set is None else list(response.prediction_set[k])

    def frame(self, job: Job, chunk: Chunk) -> polars.DataFrame:
        """The carried columns, the outputs, and what scoring adds."""
        import polars

        text = format_of(job.output, "output") == "csv"
        made = {name: _series(name, values, self.kinds[name], text) for name, values in self.outputs.items()}
        made["confidence"] = polars.Series("confidence", self.confidence, polars.Float64)
        if any(found is not None for found in self.sets):
            made["prediction_set"] = _series("prediction_set", self.sets, "BYTES", text)
        made["release"] = polars.Series("release", [job.release] * self.n, polars.String)
        made["error"] = polars.Series("error", self.errors, polars.String)
        return chunk.frame.select(job.carried).with_columns(**made) if job.carried else polars.DataFrame(made)


class Asking:
    """Asks about the rows of a chunk, `batch` at a time and `in_flight` requests at once; a bad row fails alone."""

    def __init__(self, ask: Ask, signature: Signature, batch: int, in_flight: int) -> None:
        self._ask, self._signature, self._batch, self._in_flight = ask, signature, batch, in_flight
        # The check of the server itself, so that a row is refused here when it is refused there, in the same words.
        self._edge = Edge(signature, "request")

    async def __call__(self, chunk: Chunk, tell: Callable[[int], None]) -> Answers:
        """The answers in the order of the rows. `tell` gets the number of the last row that was asked about."""
        columns = {name: cells(chunk.frame[name], field) for name, field in self._signature.inputs.items()}
        answers = Answers(chunk.frame.height)
        for row, reason in chunk.faults.items():
            answers.errors[row] = reason
        waiting = self._batches([row for row in range(answers.n) if row not in chunk.faults])

        async def work() -> None:
            for rows in waiting:
                await self._settle(columns, rows, answers)
                tell(chunk.start + rows[-1] + 1)

        await asyncio.gather(*(work() for _ in range(self._in_flight)))
        return answers

    def _batches(self, rows: Sequence[int]) -> Iterator[Sequence[int]]:
        return (rows[k : k + self._batch] for k in range(0, len(rows), self._batch))

    async def _settle(self, columns: Mapping[str, list[Any]], rows: Sequence[int], answers: Answers) -> None:
        """Ask about the rows that can be asked about; the others get their reason."""
        try:
            request = self._request(columns, rows)
        except BadRequest as wrong:
            good = [] if len(rows) == 1 else [row for row in rows if not self._refused(columns, row, answers)]
            if len(rows) == 1:
                answers.errors[rows[0]] = _told(wrong)
            elif good:
                await self._settle(columns, good, answers)
            return
        try:
            answers.put(rows, await _patiently(self._ask, request))
        # Whatever it is, it is these rows' reason; which of them is to blame is found by halving.
        except Exception as wrong:
            if len(rows) == 1:
                answers.errors[rows[0]] = _told(wrong)
                return
            half = len(rows) // 2
            await self._settle(columns, rows[:half], answers)
            await self._settle(columns, rows[half:], answers)

    def _refused(self, columns: Mapping[str, list[Any]], row: int, answers: Answers) -> bool:
        try:
            self._request(columns, [row])
        except BadRequest as wrong:
            answers.errors[row] = _told(wrong)
        return answers.errors[row] is not None

    def _request(self, columns: Mapping[str, list[Any]], rows: Sequence[int]) -> Request:
        tensors = []
        for name, field_ in self._signature.inputs.items():
            shape = (len(rows),) if field_.width == 1 else (len(rows), field_.width)
            values = columns[name]
            tensors.append(Tensor(name, field_.datatype, shape, [values[row] for row in rows]))
        return self._edge.request(f"score-{rows[0]}", tensors, None)


async def _patiently(ask: Ask, request: Request) -> Response:
    """Ask again for a while when the model's queue is full: it is this process that has filled it."""
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_SECONDS
    while True:
        try:
            return await ask(request)
        except Overloaded as full:
            if isinstance(full, Late) or loop.time() > until:
                raise
            await asyncio.sleep(min(0.5, full.retry_after or 0.05))


def _told(wrong: Exception) -> str:
    """The reason in a cell. A request of one row needs not say which row it means."""
    return f"{type(wrong).__name__}: {wrong}".replace(" in row 0;", ";")


def _series(name: str, values: Sequence[Any], kind: str, text: bool) -> polars.Series:
    """A column of one type; a list in a cell, which CSV does not have, is written as JSON."""
    import polars

    types: Mapping[str, Any] = {
        "FP16": polars.Float32,
        "FP32": polars.Float32,
        "FP64": polars.Float64,
        "BOOL": polars.Boolean,
        "BYTES": polars.String,
        **{
            f"{sign}INT{bits}": getattr(polars, f"{sign and 'U'}Int{bits}")
            for sign in ("", "U")
            for bits in (8, 16, 32, 64)
        },
    }
    nested = any(isinstance(value, list) for value in values)
    if nested and text:
        written = [None if value is None else msgspec.json.encode(value).decode() for value in values]
        return polars.Series(name, written, polars.String)
    return polars.Series(name, values, polars.List(types[kind]) if nested else types[kind])


def _least(one: int | None, other: int | None) -> int | None:
    known = [n for n in (one, other) if n is not None]
    return min(known) if known else None
