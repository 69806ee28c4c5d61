"""An engine is a plain synchronous function on a batch; a wrapper takes a Handler and is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from roadworthy.core.catalog import Catalog
from roadworthy.core.wire import Handler
from roadworthy.serve.fallback import Given
from roadworthy.serve.fallback import fallback as fallback
from roadworthy.serve.queue import queue as queue

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Engine(Protocol):
    """Maps named columns to named columns, row by row, order kept; no rows in gives no rows out.

    Inputs have shape (n, width): float32 with NaN for null, int64, bool, or object holding str or None. Outputs have
    shape (n,) or (n, k). An engine knows nothing of requests, batching or time. Its settings are its fields; `file`
    (a path), `folder` (of the project, to which code is relative) and `output` are given by whoever makes it, where
    they are fields. It loads what it needs at its first call.

    Beyond `__call__` it may have `check(signature)`, which raises BadData where the model does not take that, a
    classmethod `describe(file) -> Signature | None` that tells what a model file takes, a setting `trust` where its
    files can hold code, `waits = True` where it waits for others and so never belongs into the event loop, however
    fast it is now, and `example(folder)`, on which the laws are run.
    """

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]: ...


@runtime_checkable
class Streaming(Protocol):
    """An engine that may answer one row piece by piece; `streams` says whether this one does.

    One that does is not batched: it goes into `Streamed`. A piece maps a name to an array of shape (1,) or (1, k).
    """

    @property
    def streams(self) -> bool: ...

    def stream(self, columns: Mapping[str, NDArray[Any]]) -> Iterator[Mapping[str, NDArray[Any]]]: ...


class Wrapper(Protocol):
    """Settings that turn a Handler into another: ids kept, no request lost, exceptions let through."""

    def __call__(self, inner: Handler) -> Handler: ...


@runtime_checkable
class Around(Protocol):
    """A wrapper that needs more than the handler: what a fallback of its own is made with."""

    def around(self, inner: Handler, given: Given) -> Handler: ...


engine: Catalog[Engine] = Catalog("engine", "roadworthy.serve.engines")
wrapper: Catalog[Wrapper] = Catalog("wrapper", "roadworthy.serve.wrappers")
