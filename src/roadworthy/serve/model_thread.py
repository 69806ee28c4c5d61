"""A thread that runs what it is handed, one after the other, and can be left behind when it does not come back.

An executor's threads are joined when the interpreter ends, so that one hung model would keep the process alive.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

Work = Callable[[], object]


class Worker(Protocol):
    """Where a model runs when it does not run in the loop: calls return at once and the work is done elsewhere."""

    def __call__(self, work: Work) -> None: ...

    @property
    def alive(self) -> bool: ...

    def close(self) -> None: ...


class ModelThread:
    """A daemon thread; it ends after `close` when it has done what it was handed, or with the last use of it."""

    def __init__(self, name: str = "roadworthy-model") -> None:
        self._works: SimpleQueue[Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=_work_off, args=(self._works,), name=name, daemon=True)
        self._thread.start()
        self._end = weakref.finalize(self, self._works.put, None)

    def __call__(self, work: Work) -> None:
        """Hand over; `work` must not raise."""
        self._works.put(work)

    @property
    def alive(self) -> bool:
        """False when the thread has ended."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Take nothing more. Does not wait: the thread may be one that never comes back."""
        self._end()


def _work_off(works: SimpleQueue[Work | None]) -> None:
    while (work := works.get()) is not None:
        work()
        del work  # whatever it holds shall not wait for the next call to be let go
