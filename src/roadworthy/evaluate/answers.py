"""Answers asks a Handler about every row of a Sample. It does not know what the answers are worth."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, nearest
from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature
from roadworthy.core.stats import proportion
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.evaluate.scoring import known
from roadworthy.evaluate.told import Telling, Told

WITHHELD = "withheld: the model abstains from the row"


@dataclass(frozen=True)
class Answers:
    """`values` are numbers (n,), probabilities (n, k) or text (n,); NaN, or None for text, in the rows that failed.

    `failed` maps the number of such a row to the reason, and `told` holds what the answers say beside.
    """

    values: NDArray[Any]
    failed: Mapping[int, str]
    told: Told = field(default_factory=Told)

    @property
    def error_rate(self) -> Measurement:
        """The share of rows without an answer."""
        return proportion("error_rate", len(self.failed), len(self.values))

    @property
    def reasons(self) -> Mapping[str, int]:
        """How many rows failed for each reason, the commonest first."""
        return dict(Counter(self.failed.values()).most_common())


def answers(handler: Handler, sample: Sample, signature: Signature, batch_rows: int = 256) -> NDArray[Any]:
    """The first output of every row, NaN (None) where the row failed: the plain door to `ask`, outside an event loop.

    Raises BadData when every row failed, with the commonest reason, or when the sample lacks an input.
    """
    found = asyncio.run(ask(handler, sample, signature, batch_rows))
    if sample.n and len(found.failed) == sample.n:
        raise BadData(f"none of {sample.n} rows got an answer; most often: {next(iter(found.reasons))}")
    return found.values


async def ask(
    handler: Handler,
    sample: Sample,
    signature: Signature,
    batch_rows: int = 256,
    in_flight: int = 8,
    prefix: str = "ask",
    parameters: Mapping[str, Any] | None = None,
) -> Answers:
    """Ask about `batch_rows` rows a request, `in_flight` requests at a time, and put the answers in the sample's order.

    An answer belongs to the rows whose request id it carries, whoever was waiting for it. A stream is drained, and one
    that breaks off is no answer. A row that fails is kept with its reason. `parameters` go along with every request.
    """
    check_columns(sample, signature)
    output, kind = next(iter(signature.outputs.items()))
    values, telling = _unanswered(sample.n, kind), Telling(sample.n, output)
    failed: dict[int, str] = {}
    starts = range(0, sample.n, batch_rows)
    rows = {f"{prefix}-{start}": range(start, min(start + batch_rows, sample.n)) for start in starts}
    waiting = iter(rows.items())

    async def work() -> None:
        for name, part in waiting:
            request = request_of(sample.take(slice(part.start, part.stop)), signature, name, parameters)
            try:
                response = await handler(request)
                if response.id not in rows:
                    raise BadData(f"the answer carries the id {response.id!r}, which was never asked")
                answered = rows[response.id]
                found = shaped(await drained(response, output), kind, len(answered))
                telling.heard(response, answered)
                values[answered.start : answered.stop] = found
            # Whatever a handler raises is what a caller would have met: it becomes the reason of these rows.
            except Exception as wrong:
                failed.update(dict.fromkeys(part, f"{type(wrong).__name__}: {wrong}"))

    await asyncio.gather(*(work() for _ in range(in_flight)))
    for row in np.flatnonzero(~known(values)).tolist():
        withheld = telling.left_to_others(row)
        failed.setdefault(row, WITHHELD if withheld else "no answer, or NaN, came back for the row")
    return Answers(values, failed, telling.told)


def request_of(rows: Sample, signature: Signature, name: str, parameters: Mapping[str, Any] | None = None) -> Request:
    """One request about all the given rows; its time is that of the first, and a single row keeps its tags."""
    inputs = {column: tensor(column, field, rows.columns[column]) for column, field in signature.inputs.items()}
    at = 0.0 if rows.at is None or not rows.n else float(rows.at[0])
    tags = {tag: str(values[0]) for tag, values in rows.tags.items()} if rows.n == 1 else {}
    return Request(name, inputs, at, tags=tags, parameters=parameters or {})


def tensor(name: str, field: Field, column: NDArray[Any]) -> Tensor:
    """A column as it goes over the wire: null is NaN among numbers, and None among everything else."""
    shape = (len(column),) if field.width == 1 else (len(column), field.width)
    flat = column.reshape(-1)
    if field.datatype == "BYTES":
        return Tensor(name, "BYTES", shape, flat.tolist())
    if field.datatype == "FP32":
        return Tensor(name, "FP32", shape, flat.astype(np.float32))
    kind = bool if field.datatype == "BOOL" else int
    return Tensor(name, field.datatype, shape, [None if v is None or v != v else kind(v) for v in flat.tolist()])


async def drained(response: Response, output: str) -> Any:
    """The flat data of the named output; the pieces of a stream of it are joined into one text. Raises BadData."""
    outputs = response.outputs
    if isinstance(outputs, Mapping):
        if output not in outputs:
            raise BadData(f"no output named {output!r} came back (outputs: {', '.join(outputs) or 'none'})")
        return outputs[output].data
    pieces = await _collected(outputs)
    if pieces and output not in pieces:
        raise BadData(f"the answer streams {', '.join(pieces)}, and no output named {output!r}")
    return ["".join(pieces.get(output, []))]


def shaped(data: Any, field: Field, n: int) -> NDArray[Any]:
    """The answers of n rows: text (n,), numbers (n, width), or (n,), the last column where several came for one.

    The last of the columns is the positive class of a binary model. Raises BadData where they do not make n rows.
    """
    if field.datatype == "BYTES":
        texts = [_text(value) for value in np.asarray(data, dtype=object).reshape(-1)]
        if len(texts) != n:
            raise BadData(f"{len(texts)} texts came back for {n} rows")
        return np.array(texts, dtype=object)
    try:
        found = np.asarray(data, dtype=np.float64)
    except (TypeError, ValueError) as wrong:
        raise BadData(f"what came back are no numbers: {wrong}") from wrong
    if found.size % n or not found.size or (field.width > 1 and found.size != n * field.width):
        each = f" of {field.width} each" if field.width > 1 else ""
        raise BadData(f"{found.size} values came back for {n} rows{each}")
    table = found.reshape(n, -1)
    return np.asarray(table if field.width > 1 else table[:, -1])


def check_columns(sample: Sample, signature: Signature) -> None:
    """Raises BadData naming the first input that the sample has no column for."""
    for name in signature.inputs:
        if name not in sample.columns:
            have = ", ".join(sample.columns) or "none"
            near = nearest(name, sample.columns)
            raise BadData(f"the sample has no column for the input {name!r}{near} (it has: {have})")


def _unanswered(n: int, field: Field) -> NDArray[Any]:
    if field.datatype == "BYTES":
        return np.full(n, None, dtype=object)
    return np.full(n if field.width == 1 else (n, field.width), np.nan)


async def _collected(stream: AsyncIterator[Tensor]) -> dict[str, list[str]]:
    """The text of each output's pieces in the order of their coming."""
    pieces: dict[str, list[str]] = {}
    async for piece in stream:
        texts = (_text(value) for value in np.asarray(piece.data, dtype=object).reshape(-1))
        pieces.setdefault(piece.name, []).extend(text for text in texts if text is not None)
    return pieces


def _text(value: Any) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None if value is None else str(value)
