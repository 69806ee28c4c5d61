"""The live handler stack of one deployment: it follows the traffic that the store says, release by release.

It decides nothing. A change is built aside and put in place in one step; requests under way end on the stack on which
they began, and a model is closed when no stack holds it any more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from roadworthy.core.errors import Missing, Overloaded
from roadworthy.core.spec import Signature, Spec
from roadworthy.core.wire import Arm, Handler, Request, Response
from roadworthy.registry.releases import Registry
from roadworthy.rollout.shadow import Shadow
from roadworthy.rollout.traffic import Traffic, traffic
from roadworthy.route.policies.split import Split
from roadworthy.serve.assemble import Assembled, assemble
from roadworthy.serve.recorded import Recorded
from roadworthy.store.events import write_event
from roadworthy.store.state import State

log = logging.getLogger(__name__)

# Fewer digits of a digest than this would be a guess.
LEAST_DIGITS = 6


class Status(Struct):
    """What a deployment is doing. `problem` says why it does not do what the store asks."""

    deployment: str
    ready: bool
    traffic: Traffic | None
    problem: str
    loaded: list[str]
    shadow: Mapping[str, int]


@dataclass(eq=False)
class _Stack:
    """One arrangement of releases. `arms` are the releases that may answer, `uses` all that must stay loaded."""

    traffic: Traffic
    handler: Handler
    arms: Mapping[str, Handler]
    uses: tuple[str, ...]
    shadow: Shadow | None = None
    in_flight: int = 0

    @property
    def idle(self) -> bool:
        return not self.in_flight and (self.shadow is None or not self.shadow.in_flight)


@dataclass(eq=False)
class Deployment:
    """A Handler that answers as the store's traffic says. `sync` must have succeeded once before it is asked.

    `now` dates events (Unix seconds).
    """

    state: State
    registry: Registry
    spec: Spec
    name: str
    now: Callable[[], float] = time.time
    draining: bool = False
    problem: str = ""
    _stack: _Stack | None = None
    _retired: list[_Stack] = field(default_factory=list)
    _loaded: dict[str, Assembled] = field(default_factory=dict)
    _refused: Traffic | None = None
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __call__(self, request: Request) -> Awaitable[Response]:
        """The answer of whichever release the traffic chooses. Raises Overloaded while no release is loaded."""
        stack = self._current()
        return self._through(stack, stack.handler, request)

    @property
    def signature(self) -> Signature:
        """What the application asks and is told."""
        return self.spec.signature

    @property
    def ready(self) -> bool:
        """May new callers be sent here?"""
        return self._stack is not None and not self.draining

    @property
    def untidy(self) -> bool:
        """Are there stacks that only finish what they began? Another `sync` will look at them."""
        return bool(self._retired)

    @property
    def versions(self) -> tuple[str, ...]:
        """The digests of the releases that may answer, the stable one first."""
        return tuple(self._stack.arms) if self._stack else ()

    def version(self, release: str) -> Handler:
        """The Handler of one release alone, by its digest or the beginning of it. Raises Missing."""
        stack = self._current()
        for digest, handler in stack.arms.items():
            if digest.startswith(release) and len(release) >= LEAST_DIGITS:
                return partial(self._through, stack, handler)
        known = ", ".join(digest[:12] for digest in stack.arms)
        raise Missing(f"no version {release!r} of {self.name!r} answers now (known: {known})")

    async def sync(self, again: bool = False) -> bool:
        """Do what the store says now; True where that changed something. `again` retries what failed before.

        A candidate that cannot be loaded is left out, a stable release that cannot be loaded leaves everything as it
        was; both are told in `problem` and in the events. With nothing to fall back on, the error is raised.
        """
        async with self._changing:
            wanted = await asyncio.to_thread(traffic, self.state, self.name)
            await self._tidy()
            if not self._to_do(wanted, again):
                return False
            await self._change(wanted)
            await self._tidy()
            return True

    async def drain(self) -> None:
        """Wait until shadows have answered what they were shown."""
        for stack in (*self._retired, *((self._stack,) if self._stack else ())):
            if stack.shadow is not None:
                await stack.shadow.drain()

    async def close(self) -> None:
        """Finish mirrored work and close every model."""
        await self.drain()
        async with self._changing:
            self._stack, self._retired = None, []
            await self._tidy()

    def status(self) -> Status:
        """What is going on, without a look into the store."""
        stack = self._stack
        shadow = stack.shadow if stack else None
        counts = {n: getattr(shadow, n) for n in ("in_flight", "dropped", "failed")} if shadow else {}
        doing = stack.traffic if stack else None
        return Status(self.name, self.ready, doing, self.problem, sorted(self._loaded), counts)

    async def _through(self, stack: _Stack, handler: Handler, request: Request) -> Response:
        stack.in_flight += 1
        try:
            return await handler(request)
        finally:
            stack.in_flight -= 1

    def _current(self) -> _Stack:
        if self._stack is None:
            raise Overloaded(f"{self.name!r} has no release loaded; ask again when /v2/health/ready answers 200")
        return self._stack

    def _to_do(self, wanted: Traffic, again: bool) -> bool:
        if self._stack is None or self._stack.traffic != wanted:
            return again or wanted != self._refused
        if self._refused is not None:  # what could not be loaded is no longer wanted
            self._refused, self.problem = None, ""
        return again and bool(self.problem)

    async def _change(self, wanted: Traffic) -> None:
        self.problem = ""
        try:
            stable = await self._load(wanted.stable)
        except Exception as wrong:
            if self._stack is None:
                raise
            self._refused = wanted
            await self._trouble("stable", wanted.stable, wrong)
            return
        stack = self._stack_of(wanted, stable, await self._candidate(wanted))
        if self._stack is not None:
            self._retired.append(self._stack)
        self._stack, self._refused = stack, None

    async def _candidate(self, wanted: Traffic) -> Assembled | None:
        if wanted.candidate is None or wanted.mode == "stable":
            return None
        try:
            return await self._load(wanted.candidate)
        except Exception as wrong:
            await self._trouble("candidate", wanted.candidate, wrong)
            return None

    async def _load(self, digest: str) -> Assembled:
        """The handlers of a release, loaded and warm. Off the loop, which goes on answering."""
        if digest not in self._loaded:
            self._loaded[digest] = await asyncio.to_thread(self._assemble, digest)
        return self._loaded[digest]

    def _assemble(self, digest: str) -> Assembled:
        release = self.registry.get(digest)
        made = assemble(release, self.registry.files(release), self.spec.root, self.spec.serving)
        made.warm_up()
        return made

    def _stack_of(self, wanted: Traffic, stable: Assembled, candidate: Assembled | None) -> _Stack:
        low = self._recorded(stable, wanted.stable, "stable")
        if candidate is None or wanted.candidate is None:
            return _Stack(wanted, low, {wanted.stable: low}, (wanted.stable,))
        uses = (wanted.stable, wanted.candidate)
        if wanted.mode == "shadow":
            shadow = Shadow(low, self._recorded(candidate, wanted.candidate, "shadow"))
            return _Stack(wanted, shadow, {wanted.stable: low}, uses, shadow)
        high = self._recorded(candidate, wanted.candidate, "canary")
        split = Split(wanted.share, wanted.salt)({"stable": low, "canary": high})
        return _Stack(wanted, split, {wanted.stable: low, wanted.candidate: high}, uses)

    def _recorded(self, handler: Handler, digest: str, arm: Arm) -> Handler:
        return Recorded(handler, self.state.records.append, digest, arm)

    async def _trouble(self, arm: str, digest: str, wrong: Exception) -> None:
        self.problem = f"the {arm} release {digest[:12]} cannot be loaded: {type(wrong).__name__}: {wrong}"
        log.error("%s", self.problem, exc_info=wrong)
        data = {"arm": arm, "release": digest, "error": self.problem}
        try:
            await asyncio.to_thread(write_event, self.state.engine, self.now(), "load_failed", self.name, data)
        except Exception:
            log.exception("the event of this could not be written")

    async def _tidy(self) -> None:
        """Let go of what nobody uses any more."""
        self._retired = [stack for stack in self._retired if not stack.idle]
        stacks = (*self._retired, *((self._stack,) if self._stack else ()))
        used = {digest for stack in stacks for digest in stack.uses}
        for digest in [digest for digest in self._loaded if digest not in used]:
            await self._loaded.pop(digest).close()


def status_json(status: Status, counts: Mapping[tuple[str, Arm], int]) -> Any:
    """The status with the number of records of each release and arm."""
    told = msgspec.to_builtins(status)
    told["counts"] = [{"release": release, "arm": arm, "records": n} for (release, arm), n in counts.items()]
    return told
