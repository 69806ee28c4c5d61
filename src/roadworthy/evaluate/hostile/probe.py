"""A probe asks a Handler one thing, waits so long and no longer, and says what became of it. It judges nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import Late, RoadworthyError
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.evaluate.hostile.printable import printable

Fate = Literal["answered", "refused", "crashed", "hung", "not finite", "not asked"]
Rows = Mapping[str, tuple[Any, ...]]

RETRIES = 3
GIVE_UP_SECONDS = 1.0


class Reply(NamedTuple):
    """What became of a request: its fate, why, the outputs row by row, and what is wrong whatever the fate."""

    fate: Fate
    because: str = ""
    rows: Rows = MappingProxyType({})
    fault: str = ""


async def probe(handler: Handler, request: Request, signature: Signature, seconds: float) -> Reply:
    """Ask, and ask again where the handler is only busy; a streamed answer is read to its end.

    No answer within `seconds` is `hung`, which the handler's own word for that (Late) is, too.
    """
    for _ in range(RETRIES):
        reply, retry_after = await _once(handler, request, signature, seconds)
        if retry_after is None:
            return reply
        await asyncio.sleep(min(retry_after, GIVE_UP_SECONDS))
    return reply


def request_of(rows: Sample, signature: Signature, name: str) -> Request:
    """The rows as a caller's JSON carries them: lists, with whatever they hold, and nothing for an absent column."""
    inputs = {
        column: _tensor(column, field, rows.columns[column])
        for column, field in signature.inputs.items()
        if column in rows.columns
    }
    return Request(name, inputs, 0.0 if rows.at is None or not rows.n else float(rows.at[0]))


async def _once(handler: Handler, request: Request, signature: Signature, seconds: float) -> tuple[Reply, float | None]:
    """The reply, and after how many seconds a busy handler wants to be asked again."""
    task = asyncio.get_running_loop().create_task(_answer(handler, request))
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        # Whoever does not let himself be cancelled is left behind.
        await asyncio.wait({task}, timeout=GIVE_UP_SECONDS)
        return Reply("hung", f"no answer within {seconds:g} s"), None
    if task.cancelled():
        return Reply("crashed", "the handler cancelled whoever asked"), None
    answer = task.result()
    if isinstance(answer, Response):
        return _read(answer, request, signature), None
    busy = getattr(answer, "retry_after", None)
    if busy is not None and not isinstance(answer, Late):
        return Reply("not asked", f"the handler was busy: {printable(str(answer))}"), busy
    return _failure(answer), None


async def _answer(handler: Handler, request: Request) -> Response | BaseException:
    """What the handler answers, a stream being gathered; or what it raises, which may be anything."""
    try:
        response = await handler(request)
        return response if isinstance(response.outputs, Mapping) else await _gathered(response)
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise
    # A model that calls `sys.exit`, or whose Rust panics, has crashed on this request like any other.
    except BaseException as wrong:
        return wrong


async def _gathered(response: Response) -> Response:
    """A stream as one row: texts are joined, other pieces stand one after the other."""
    pieces: dict[str, list[Any]] = {}
    types: dict[str, Tensor] = {}
    async for piece in response.outputs:  # type: ignore[union-attr]
        pieces.setdefault(piece.name, []).extend(np.asarray(piece.data).reshape(-1).tolist())
        types[piece.name] = piece
    outputs = {}
    for name, parts in pieces.items():
        text = types[name].datatype == "BYTES"
        data = ["".join(map(str, parts))] if text else parts
        outputs[name] = Tensor(name, types[name].datatype, (1, len(data)), data)
    return Response(response.id, outputs)


def _failure(wrong: BaseException) -> Reply:
    told = f"{type(wrong).__name__}: {printable(str(wrong), 300)}"
    if isinstance(wrong, Late):
        return Reply("hung", told)
    if not isinstance(wrong, RoadworthyError) or not 400 <= wrong.status < 500:
        return Reply("crashed", told)
    said = str(wrong).strip()
    if "Traceback (most recent call last)" in said:
        return Reply("refused", told, fault="the refusal shows the caller a traceback")
    return Reply("refused", told, fault="" if " " in said else f"it was refused without a sentence: {said!r:.80}")


def _read(response: Response, request: Request, signature: Signature) -> Reply:
    outputs = response.outputs
    if not isinstance(outputs, Mapping):
        raise TypeError("a stream is gathered before it is read")
    rows: dict[str, tuple[Any, ...]] = {}
    for name, field in signature.outputs.items():
        if name not in outputs:
            return Reply("crashed", f"no output named {name!r} came back (outputs: {', '.join(outputs) or 'none'})")
        values = np.asarray(outputs[name].data).reshape(-1)
        n = outputs[name].shape[0] if outputs[name].shape else 0
        if n != request.n or (n and len(values) % n):
            return Reply("crashed", f"{len(values)} values of {name!r} in {n} rows came back for {request.n} rows")
        rows[name] = tuple(values.reshape(n, -1)) if n else ()
        if not field.nullable and any(not _is_finite(row) for row in rows[name]):
            odd = next(value for row in rows[name] for value in row if not _is_finite(np.asarray([value])))
            return Reply("not finite", f"output {name!r} holds {odd!r:.40}", rows)
    fault = "" if response.id == request.id else f"the answer carries the id {response.id!r:.80} of another request"
    return Reply("answered", fault, rows, fault)


def _is_finite(row: NDArray[Any]) -> bool:
    if row.dtype.kind in "fc":
        return bool(np.isfinite(row).all())
    return row.dtype != object or all(value is not None and value == value for value in row)


def _tensor(name: str, field: Field, values: NDArray[Any]) -> Tensor:
    flat: Sequence[Any] = values.reshape(-1).tolist()
    if field.datatype in ("INT64", "BOOL"):
        kind = bool if field.datatype == "BOOL" else int
        # A whole number stands as a float in a table; what is not whole is sent as it is.
        flat = [None if v is None or v != v else kind(v) if float(v).is_integer() else v for v in flat]
    return Tensor(name, field.datatype, values.shape, flat)
