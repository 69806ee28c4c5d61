"""A Shadow answers from one handler and shows requests to another, whose answers nobody waits for."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from roadworthy.core.wire import Handler, Request, Response

# Why a request that should have been mirrored was not: the mirror cannot keep up, this loop was too busy to show it
# anything, the mirror answers nothing at all, or it was given up.
Reason = Literal["budget", "busy", "hanging", "stopped"]
REASONS: tuple[Reason, ...] = ("budget", "busy", "hanging", "stopped")


@dataclass(frozen=True)
class Budget:
    """What a mirror may cost whoever answers: memory for `most_waiting` requests, and turns of the loop.

    The mirror is shown what came meanwhile every `every_seconds`, of which at most `most_in_flight` are unanswered; not
    in a turn that comes `most_lag_seconds` late, nor while stable has a queue. A mirror that has been silent for
    `hanging_seconds` is said to hang where requests are dropped meanwhile.
    """

    most_in_flight: int = 64
    most_waiting: int = 1024
    every_seconds: float = 0.02
    most_lag_seconds: float = 0.02
    hanging_seconds: float = 1.0

    def __post_init__(self) -> None:
        for name in ("most_in_flight", "most_waiting"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)!r}")


def never() -> bool:
    """Nobody queues."""
    return False


def going() -> str:
    """The mirror was not given up."""
    return ""


class Shadow:
    """A Handler that answers as `inner` does, and later asks `mirror` the same, with `shadow` set, of those `chosen`.

    `mirror` can neither fail nor delay an answer: a request costs its caller an entry in a list. What the budget does
    not allow is dropped and counted by reason; what `mirror` raises is counted in `failed`, its records being its own
    affair. `busy` says whether stable has a queue, `stopped` why the mirror was given up ("" while it was not). The
    mirrored request has no deadline, which `inner` has used up.
    """

    def __init__(
        self,
        inner: Handler,
        mirror: Handler,
        budget: Budget | None = None,
        chosen: Callable[[Request], bool] | None = None,
        busy: Callable[[], bool] = never,
        stopped: Callable[[], str] = going,
    ) -> None:
        self.inner, self.mirror, self.budget = inner, mirror, Budget() if budget is None else budget
        self.chosen, self.busy, self.stopped = chosen, busy, stopped
        self.seen = self.mirrored = self.failed = 0
        self.dropped: Counter[Reason] = Counter()
        self._waiting: deque[Request] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._held_up = False
        self._last = 0.0
        self._drained: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"Shadow({self.inner!r}, mirror={self.mirror!r}, budget={self.budget!r})"

    @property
    def in_flight(self) -> int:
        """How many requests the mirror is still to answer."""
        return len(self._waiting) + len(self._tasks)

    @property
    def counts(self) -> Mapping[str, int]:
        """What became of the requests so far: `seen` in all, and of those chosen the `mirrored` and the `dropped`."""
        found = {"seen": self.seen, "mirrored": self.mirrored, "in_flight": self.in_flight, "failed": self.failed}
        found["dropped"] = self.dropped.total()
        return found | {f"dropped_{reason}": self.dropped[reason] for reason in REASONS}

    async def __call__(self, request: Request) -> Response:
        """What `inner` answers or raises; either way the mirror is shown the request."""
        try:
            return await self.inner(request)
        finally:
            self._remember(request)

    async def drain(self) -> None:
        """Wait until the mirror has answered all that it is to be shown, which is now shown without a pause."""
        while self.in_flight:
            self._show(asyncio.get_running_loop())
            if not self._tasks:
                return
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._drained.append(done)
            await done

    def _remember(self, request: Request) -> None:
        self.seen += 1
        if self.chosen is not None and not self.chosen(request):
            return
        if len(self._waiting) >= self.budget.most_waiting:
            self.dropped[self._why_full()] += 1
            return
        self._waiting.append(request)
        if self._timer is None and len(self._tasks) < self.budget.most_in_flight:
            self._wake()

    def _why_full(self) -> Reason:
        if self.stopped():
            return "stopped"
        if self._held_up:
            return "busy"
        silent = asyncio.get_running_loop().time() - self._last
        return "hanging" if silent > self.budget.hanging_seconds else "budget"

    def _wake(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self.budget.every_seconds
        self._timer = loop.call_at(due, self._turn, loop, due)

    def _turn(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._timer = None
        self._held_up = loop.time() - due > self.budget.most_lag_seconds or self.busy()
        if self._held_up:
            self._wake()
        else:
            self._show(loop)

    def _show(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ask the mirror about as many as it may have at once; once it was given up, about none."""
        if self.stopped():
            self.dropped["stopped"] += len(self._waiting)
            self._waiting.clear()
        if not self._tasks:
            self._last = loop.time()
        while self._waiting and len(self._tasks) < self.budget.most_in_flight:
            task = loop.create_task(self._ask(replace(self._waiting.popleft(), shadow=True, deadline=None)))
            self._tasks.add(task)
            task.add_done_callback(self._done)
            self.mirrored += 1
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _ask(self, request: Request) -> None:
        outputs = (await self.mirror(request)).outputs
        if not isinstance(outputs, Mapping):
            async for _ in outputs:  # a stream is recorded when it ends
                pass

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._last = asyncio.get_running_loop().time()
        if task.cancelled() or task.exception() is not None:
            self.failed += 1
        if self._drained:
            waiting, self._drained = self._drained, []
            for done in waiting:
                if not done.done():
                    done.set_result(None)
        elif self._waiting and self._timer is None:
            self._wake()
