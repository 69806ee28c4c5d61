"""What a front and the process of the model may say to each other, and how it is written: MessagePack, never pickle.

Arrays travel as their bytes, errors as their class, status and words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from roadworthy.app.edge import Clock
from roadworthy.app.exchange import Call, Refused
from roadworthy.app.limits import Limits
from roadworthy.core import errors
from roadworthy.core.errors import RoadworthyError
from roadworthy.core.spec import Signature
from roadworthy.core.wire import Arm, Request, Step, Tensor

# A stream may be so many pieces ahead of its reader.
WINDOW = 32

_ARRAY = 1


class Message(Struct, array_like=True, gc=False, frozen=True):
    """Something said. `id` names the exchange that it belongs to; fronts count their own."""

    id: int


class Hello(Message, tag=0, frozen=True):
    """To a new front: what it speaks for and where it listens. `state` is the directory of the API keys, or empty.

    `timeout_seconds` is the deadline of a request that brings none (0: it has none).
    """

    name: str
    signature: Signature
    host: str
    port: int
    clock: Clock
    limits: Limits
    timeout_seconds: float = 0.0
    state: str = ""
    certificate: str = ""
    key: str = ""


class Ready(Message, tag=1, frozen=True):
    """From a front: it listens."""


class Asked(Message, tag=2, frozen=True):
    """From a front: a request that was read and checked."""

    request: Request


class Called(Message, tag=3, frozen=True):
    """From a front: a call that it leaves to the other side as it came."""

    call: Call


class Cancelled(Message, tag=4, frozen=True):
    """From a front: nobody waits for this any more."""


class More(Message, tag=5, frozen=True):
    """From a front: so many pieces of a stream were taken."""

    pieces: int


class Count(Message, tag=6, frozen=True):
    """From a front: what its Server counts."""

    connections: int
    in_flight: int


class Answered(Message, tag=7, frozen=True):
    """The answer to a request. A stream has no `outputs` here; its pieces follow."""

    request: str
    outputs: dict[str, Tensor] | None
    release: str
    arm: Arm
    confidence: Any
    prediction_set: Any
    path: tuple[Step, ...]
    seconds: dict[str, float]
    usd: float | None
    parameters: dict[str, Any]
    paths: tuple[tuple[Step, ...], ...] | None = None


class Replied(Message, tag=8, frozen=True):
    """The reply to a call. A stream has no `body` here; its pieces follow."""

    status: int
    body: bytes | None
    content_type: bytes
    headers: tuple[tuple[bytes, bytes], ...]


class Piece(Message, tag=9, frozen=True):
    """One piece of a streamed answer."""

    tensor: Tensor


class Part(Message, tag=10, frozen=True):
    """One piece of a streamed reply."""

    body: bytes


class Ended(Message, tag=11, frozen=True):
    """A stream has ended as it should."""


class Failed(Message, tag=12, frozen=True):
    """An exchange ended with an error of this class. Of a defect only the log tells more."""

    kind: str
    status: int
    message: str
    retry_after: float | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Drain(Message, tag=13, frozen=True):
    """To a front: accept nobody new, answer what has arrived within this time, and leave."""

    grace_seconds: float


Said = (
    Hello
    | Ready
    | Asked
    | Called
    | Cancelled
    | More
    | Count
    | Answered
    | Replied
    | Piece
    | Part
    | Ended
    | Failed
    | Drain
)


def failed(id: int, error: BaseException) -> Failed:
    """An error as it travels."""
    if isinstance(error, RoadworthyError):
        headers = getattr(error, "headers", ())
        return Failed(id, type(error).__name__, error.status, str(error), error.retry_after, headers)
    if isinstance(error, asyncio.CancelledError):
        return Failed(id, "CancelledError", 503, "")
    if isinstance(error, TimeoutError):
        return Failed(id, "TimeoutError", 504, str(error))
    return Failed(id, type(error).__name__, 500, "the server failed on this request; its log says why")


def error_of(told: Failed) -> BaseException:
    """The error that was told, of its own class where that is one of ours, with its status and its headers."""
    if told.kind == "CancelledError":
        return asyncio.CancelledError()
    if told.kind == "TimeoutError":
        return TimeoutError(told.message)
    kind = _KINDS.get(told.kind)
    error: RoadworthyError = kind(told.message) if kind is not None else Told(told.status, told.message)
    error.retry_after = told.retry_after
    if told.headers:
        setattr(error, "headers", told.headers)  # noqa: B010  only some errors have headers
    return error


class Told(Refused):
    """An error of the other side, of a class that is not known on this one."""


def _kinds(base: type[RoadworthyError]) -> Iterator[type[RoadworthyError]]:
    """The classes of `core.errors` that are made of a message alone."""
    for found in vars(errors).values():
        if isinstance(found, type) and issubclass(found, base) and found is not errors.MissingExtra:
            yield found


_KINDS = {kind.__name__: kind for kind in _kinds(RoadworthyError)}


def _packed(value: Any) -> Any:
    """Arrays and numbers of numpy, which an engine may leave in an answer."""
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return value.tolist()
        head = msgspec.msgpack.encode((value.dtype.str, value.shape))
        return msgspec.msgpack.Ext(_ARRAY, bytes((len(head),)) + head + value.tobytes())
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot travel between processes")


def _unpacked(code: int, data: memoryview) -> Any:
    if code != _ARRAY:
        raise ValueError(f"no extension {code}")
    start = 1 + data[0]
    dtype, shape = msgspec.msgpack.decode(data[1:start], type=tuple[str, tuple[int, ...]])
    return np.frombuffer(bytes(data[start:]), np.dtype(dtype)).reshape(shape)


ENCODER = msgspec.msgpack.Encoder(enc_hook=_packed)
DECODER: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(list[Said], ext_hook=_unpacked)
