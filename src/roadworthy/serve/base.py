"""An engine is a plain synchronous function on a batch; a wrapper takes a Handler and is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from roadworthy.core.catalog import Catalog
from roadworthy.core.wire import Handler

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Engine(Protocol):
    """Maps named columns to named columns, row by row, order kept; no rows in gives no rows out.

    Inputs have shape (n, width): float32 with NaN for null, int64, bool, or object holding str or None. Outputs have
    shape (n,) or (n, k). An engine knows nothing of requests, batching or time. Its settings are its fields, and
    `file` (a path) is given by whoever makes it. It loads what it needs at its first call.
    """

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]: ...


class Wrapper(Protocol):
    """Settings that turn a Handler into another: ids kept, no request lost, exceptions let through."""

    def __call__(self, inner: Handler) -> Handler: ...


engine: Catalog[Engine] = Catalog("engine", "roadworthy.serve.engines")
wrapper: Catalog[Wrapper] = Catalog("wrapper", "roadworthy.serve.wrappers")
