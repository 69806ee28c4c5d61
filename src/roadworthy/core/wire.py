"""Request, Response and Handler: the one signature on the request path.

A Handler runs on the event loop but not inside an asyncio Task (a Task costs more than a small model): it may await
futures and other handlers, and sets its deadlines with `loop.call_later`, not with `asyncio.timeout`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field

Arm = Literal["stable", "canary", "shadow", "fallback", "holdback"]

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]


# 1 is served first and shed last, 3 is served last and shed first.
Priority = Literal[1, 2, 3]


class Tensor(Struct, frozen=True):
    """A named array, as Open Inference V2 has it: `shape[0]` counts rows, `data` is flat and row-major.

    `data` is a list, or anything that `numpy.asarray` takes. A null is None in a list, and NaN once it is an array.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    data: Any


class Step(Struct, frozen=True, omit_defaults=True):
    """One stop of a request on its way (a cascade level, a guard, a fallback) and why it went on or stayed.

    `usd` is what this stop alone cost and `seconds` how long it took, where that is known: what was asked in vain, too.
    """

    at: str
    because: str
    usd: float | None = None
    seconds: float | None = None


class Request(Struct, frozen=True):
    """What a caller asks. `at` is the event time in Unix seconds; `key` keeps a caller on one arm.

    `deadline` is on the clock of `time.monotonic`. `tags` (segment, tenant, ...) are copied into the Record.
    """

    id: str
    inputs: Mapping[str, Tensor]
    at: float
    key: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    deadline: float | None = None
    shadow: bool = False
    priority: Priority = 2

    @property
    def n(self) -> int:
        """How many rows are asked about."""
        for tensor in self.inputs.values():
            return tensor.shape[0]
        return 0


class Response(Struct, frozen=True):
    """What a handler answers: tensors, or a stream of tensors that is drained as it arrives.

    `confidence` has one entry a row; `seconds` holds stage timings (`queue`, `model`, `total`, ...). `path` is the way
    that all rows went together; where they parted, row k went on along `paths[k]`, and pays for that alone.
    """

    id: str
    outputs: Mapping[str, Tensor] | AsyncIterator[Tensor]
    release: str = ""
    arm: Arm = "stable"
    confidence: Sequence[float] | None = None
    prediction_set: Sequence[Sequence[str]] | None = None
    path: tuple[Step, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    usd: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    paths: Sequence[tuple[Step, ...]] | None = None

    def row_path(self, row: int) -> tuple[Step, ...]:
        """The whole way of one row."""
        return self.path if self.paths is None else (*self.path, *self.paths[row])

    def row_usd(self, row: int, rows: int) -> float | None:
        """What one of `rows` rows cost; whoever wants it of many asks for `usd_of_rows` once."""
        return self.usd_of_rows(rows)[row] if rows else None

    def usd_of_rows(self, rows: int) -> list[float | None]:
        """What each of `rows` rows cost: an even share of what all cost, and its own way besides where they parted."""
        if self.usd is None or not rows:
            return [None] * rows
        if self.paths is None:
            return [self.usd / rows] * rows
        own = [sum(step.usd or 0.0 for step in way) for way in self.paths]
        common = (self.usd - sum(own)) / rows
        return [one + common for one in own]


Handler = Callable[[Request], Awaitable[Response]]
