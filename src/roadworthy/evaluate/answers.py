"""Answers asks a Handler about every row of a Sample. It does not know what the answers are worth."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, nearest
from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature
from roadworthy.core.stats import proportion
from roadworthy.core.wire import Handler, Request, Response, Tensor


@dataclass(frozen=True)
class Answers:
    """`values` (n,) are NaN for the rows that failed; `failed` maps the number of such a row to the reason."""

    values: NDArray[np.float64]
    failed: Mapping[int, str]

    @property
    def error_rate(self) -> Measurement:
        """The share of rows without an answer."""
        return proportion("error_rate", len(self.failed), len(self.values))

    @property
    def reasons(self) -> Mapping[str, int]:
        """How many rows failed for each reason, the commonest first."""
        return dict(Counter(self.failed.values()).most_common())


def answers(handler: Handler, sample: Sample, signature: Signature, batch_rows: int = 256) -> NDArray[np.float64]:
    """The first output of every row (n,), NaN where the row failed: the plain door to `ask`, outside an event loop.

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
) -> Answers:
    """Ask about `batch_rows` rows a request, `in_flight` requests at a time, and put the answers in the sample's order.

    An answer belongs to the rows whose request id it carries, whoever was waiting for it. A row that fails is kept
    with its reason.
    """
    check_columns(sample, signature)
    output = next(iter(signature.outputs))
    values = np.full(sample.n, np.nan)
    failed: dict[int, str] = {}
    starts = range(0, sample.n, batch_rows)
    rows = {f"{prefix}-{start}": range(start, min(start + batch_rows, sample.n)) for start in starts}
    waiting = iter(rows.items())

    async def work() -> None:
        for name, part in waiting:
            request = request_of(sample.take(slice(part.start, part.stop)), signature, name)
            try:
                response = await handler(request)
                answered = rows.get(response.id, part)
                values[answered.start : answered.stop] = values_of(response, output, len(answered), rows)
            # Whatever a handler raises is what a caller would have met: it becomes the reason of these rows.
            except Exception as wrong:
                failed.update(dict.fromkeys(part, f"{type(wrong).__name__}: {wrong}"))

    await asyncio.gather(*(work() for _ in range(in_flight)))
    for row in np.flatnonzero(np.isnan(values)):
        failed.setdefault(int(row), "no answer, or NaN, came back for the row")
    return Answers(values, failed)


def request_of(rows: Sample, signature: Signature, name: str) -> Request:
    """One request about all the given rows; its time is that of the first, and a single row keeps its tags."""
    inputs = {column: tensor(column, field, rows.columns[column]) for column, field in signature.inputs.items()}
    at = 0.0 if rows.at is None or not rows.n else float(rows.at[0])
    tags = {tag: str(values[0]) for tag, values in rows.tags.items()} if rows.n == 1 else {}
    return Request(name, inputs, at, tags=tags)


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


def values_of(response: Response, output: str, n: int, known: Mapping[str, Any]) -> NDArray[np.float64]:
    """The named output of each row (n,): a column, or the last of several (the positive class). Raises BadData."""
    if response.id not in known:
        raise BadData(f"the answer carries the id {response.id!r}, which was never asked")
    if not isinstance(response.outputs, Mapping):
        raise BadData("the answer is a stream, which has no single value a row")
    if output not in response.outputs:
        raise BadData(f"no output named {output!r} came back (outputs: {', '.join(response.outputs) or 'none'})")
    found = np.asarray(response.outputs[output].data, dtype=np.float64)
    if found.size % n or not found.size:
        raise BadData(f"{found.size} values came back for {n} rows")
    return np.asarray(found.reshape(n, -1)[:, -1])


def check_columns(sample: Sample, signature: Signature) -> None:
    """Raises BadData naming the first input that the sample has no column for."""
    for name in signature.inputs:
        if name not in sample.columns:
            have = ", ".join(sample.columns) or "none"
            near = nearest(name, sample.columns)
            raise BadData(f"the sample has no column for the input {name!r}{near} (it has: {have})")
