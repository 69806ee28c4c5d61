"""Runs a coroutine on the event loop without an asyncio Task, which costs more than a small model.

What it runs may await futures and other coroutines, but nothing that asks for the current task: no `asyncio.timeout`,
no `wait_for`, no `TaskGroup`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


def drive(work: Coroutine[Any, Any, Any], then: Callable[[Any, BaseException | None], None]) -> Driven:
    """Start at once, and call `then(result, None)` or `then(None, error)` when it ends, perhaps before returning."""
    driven = Driven(work, then)
    driven()
    return driven


class Driven:
    """Work under way. Calling it takes the next step, which is for whatever it waits for to do."""

    __slots__ = ("_cancelled", "_then", "_waits_for", "_work")

    def __init__(self, work: Coroutine[Any, Any, Any], then: Callable[[Any, BaseException | None], None]) -> None:
        self._work = work
        self._then = then
        self._waits_for: Any = None
        self._cancelled = False

    def __call__(self, awaited: Any = None) -> None:
        # The result of what was awaited is fetched by the future's own `__await__`, so None is all there is to send.
        self._waits_for = None
        try:
            waits_for = self._work.throw(self._cancellation()) if self._cancelled else self._work.send(None)
        except StopIteration as end:
            self._then(end.value, None)
        except (Exception, asyncio.CancelledError) as error:
            self._then(None, error)
        else:
            self._wait(waits_for)

    def cancel(self) -> None:
        """Have CancelledError raised where the work waits; nothing where it has ended.

        As with a Task, the future that it waits for is cancelled: whoever gives one future to many must shield it.
        """
        waits_for = self._waits_for
        if waits_for is None or not waits_for.cancel():
            self._cancelled = True  # it runs at this moment, or will be woken in the next turn

    def _wait(self, waits_for: Any) -> None:
        if waits_for is None:  # a bare `yield`, which is what `asyncio.sleep(0)` does
            asyncio.get_running_loop().call_soon(self)
        elif getattr(waits_for, "_asyncio_future_blocking", None):
            waits_for._asyncio_future_blocking = False
            waits_for.add_done_callback(self)
            self._waits_for = waits_for
            if self._cancelled and waits_for.cancel():
                self._cancelled = False
        else:
            self._work.close()
            self._then(None, TypeError(f"a handler may await futures and coroutines, not {waits_for!r}"))

    def _cancellation(self) -> asyncio.CancelledError:
        self._cancelled = False
        return asyncio.CancelledError()
