"""The live handler stack of one deployment: it follows the traffic that the store says, release by release.

It decides nothing. A change is built aside and put in place in one step; requests under way end on the stack on which
they began, and a model is closed when no stack holds it any more. A model that nobody asks for a while is let go, and
loaded again by whoever asks next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from roadworthy.app.mixture import Mixture, assembled
from roadworthy.app.repository import ModelState
from roadworthy.app.spending import Spending
from roadworthy.app.stack import Arranger, Loaded, Mirrored, Stack
from roadworthy.app.turning import Turning
from roadworthy.core.errors import Late, Missing, Overloaded, RoadworthyError, unknown
from roadworthy.core.in_time import InTime
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Signature, Spec
from roadworthy.core.wire import Arm, Handler, Request, Response
from roadworthy.observe.root_cause.change_log import note_failed_load, note_load
from roadworthy.registry.releases import Registry
from roadworthy.rollout.traffic import Traffic, traffic
from roadworthy.serve.assemble import Assembled, Recipe
from roadworthy.serve.batch_counts import Snapshot
from roadworthy.serve.meter import Counts
from roadworthy.store.state import State

log = logging.getLogger(__name__)

# Fewer digits of a digest than this would be a guess.
LEAST_DIGITS = 6


class Status(Struct):
    """What a deployment is doing. `problem` says why it does not do what the store asks.

    `rests`: no model is loaded because nobody asked; `unloaded`: because an operator or a client said so.
    """

    deployment: str
    ready: bool
    rests: bool
    unloaded: bool
    traffic: Traffic | None
    problem: str
    loaded: list[str]
    shadow: Mapping[str, int]


@dataclass(eq=False)
class Deployment:
    """A Handler that answers as the store's traffic says. `sync` must have succeeded once before it is asked.

    `now` dates events (Unix seconds); `clock` counts the seconds without a request.
    """

    state: State
    registry: Registry
    spec: Spec
    name: str
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    draining: bool = False
    problem: str = ""
    unloaded: bool = False
    _stack: Stack | None = None
    _rested: Stack | None = None
    _waking: asyncio.Future[None] | None = None
    _quiet: tuple[int, float] = (-1, 0.0)
    _told: Stack | None = None
    _retired: list[Stack] = field(default_factory=list)
    _loaded: dict[str, Assembled | Mixture] = field(default_factory=dict)
    _refused: Traffic | None = None
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._arranger = Arranger(self.spec, self.state.records.append, self.clock)
        self._turning = Turning(self.state.engine, self.name)
        self._spending = Spending(self.state.engine, self.name, self.now)

    def __call__(self, request: Request) -> Awaitable[Response]:
        """The answer of whichever release the traffic chooses. Raises Overloaded while no release can be loaded."""
        stack = self._stack
        if stack is not None:
            return stack.ask(stack.handler, request)
        if self._rested is None:
            raise self._nothing_loaded()
        return self._woken("", request)

    @property
    def signature(self) -> Signature:
        """What the application asks and is told."""
        return self.spec.signature

    @property
    def ready(self) -> bool:
        """May new callers be sent here?"""
        return (self._stack is not None or self.rests) and not self.draining

    @property
    def rests(self) -> bool:
        """Is the model away because nobody asked for it? Whoever asks next has it loaded."""
        return self._rested is not None

    @property
    def untidy(self) -> bool:
        """Are there stacks that only finish what they began, or dollars to tell of? Another `sync` will see to them."""
        return bool(self._retired) or self._spending.behind

    @property
    def versions(self) -> tuple[str, ...]:
        """The digests of the releases that may answer, the stable one first."""
        stack = self._stack or self._rested
        return tuple(stack.arms) if stack else ()

    def version(self, release: str) -> Handler:
        """The Handler of one release alone, by its digest or the beginning of it. Raises Missing."""
        stack = self._stack or self._rested
        if stack is None:
            raise self._nothing_loaded()
        for digest, handler in stack.arms.items():
            if digest.startswith(release) and len(release) >= LEAST_DIGITS:
                return partial(self._woken, digest) if stack is self._rested else partial(stack.ask, handler)
        known = ", ".join(digest[:12] for digest in stack.arms)
        raise Missing(f"no version {release!r} of {self.name!r} answers now (known: {known})")

    async def sync(self, again: bool = False) -> bool:
        """Do what the store says now; True where traffic changed. `again` retries what failed before.

        A candidate that cannot be loaded is left out, a stable release that cannot be loaded leaves everything as it
        was; both are told in `problem` and in the events. With nothing to fall back on, the error is raised.
        """
        async with self._changing:
            wanted = await asyncio.to_thread(traffic, self.state, self.name)
            await self._tidy()
            changes = not self.unloaded and self._to_do(wanted, again)
            if changes:
                await self._change(wanted)
                await self._tidy()
            await self._turning.turn(self._loaded)
            await self._turning.turn_apart(self._arranger.aparts)
            await self._spending.sync(self._loaded)
            return changes

    def index(self) -> list[ModelState]:
        """Each release that answers, or that would if it were loaded, as the repository extension tells it."""
        if self._stack is not None:
            return [ModelState(self.name, digest, "READY") for digest in self.versions]
        why = str(self._nothing_loaded()) if self._rested is None else "nobody asks for it: the next request loads it"
        return [ModelState(self.name, digest, "UNAVAILABLE", why) for digest in self.versions or ("",)]

    async def load(self, name: str = "") -> None:
        """Load what the store says, after an `unload` or while the model rests. Raises what loading raises."""
        self._check_name(name)
        self.unloaded = False
        # Whoever asked may go away; half of a change would stay.
        await asyncio.shield(asyncio.ensure_future(self.sync(again=True)))

    async def unload(self, name: str = "") -> None:
        """Let the models go once they have answered what they were asked; nobody is answered until a `load`."""
        self._check_name(name)
        await asyncio.shield(asyncio.ensure_future(self._unload()))

    async def _unload(self) -> None:
        async with self._changing:
            self.unloaded = True
            self._let_go()
            self._rested = None
            await self._tidy()

    async def rest(self) -> None:
        """Let a model go that nobody has asked for `idle_seconds`. To be called again and again."""
        stack, most = self._stack, self.spec.serving.idle_seconds
        if not most or stack is None:
            return
        asked, since = self._quiet
        if stack.asked != asked or not stack.idle:
            self._quiet = (stack.asked, self.clock())
        elif self.clock() - since >= most:
            log.info("nobody asked %r for %g s: its model is unloaded", self.name, most)
            async with self._changing:
                self._rested = self._let_go()
                await self._tidy()

    async def tell_stopped(self) -> None:
        """Write down, once, that a mirrored release hung or died too often: its rollout cannot go on with it."""
        stack = self._stack
        if stack is None or stack.shadow is None or stack is self._told:
            return
        stopped, candidate = stack.shadow.stopped(), stack.traffic.candidate
        if stopped and candidate is not None:
            self._told = stack
            await self._note(note_failed_load, "candidate", candidate, f"the candidate cannot be shadowed: {stopped}")

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
            await self._spending.sync(self._loaded)

    def status(self) -> Status:
        """What is going on, without a look into the store."""
        stack = self._stack
        shadow = stack.shadow if stack else None
        counts = shadow.counts if shadow else {}
        doing = stack.traffic if stack else None
        stopped = f"the shadow is not asked any more: {shadow.stopped()}" if shadow and shadow.stopped() else ""
        problem = self.problem or stopped
        return Status(self.name, self.ready, self.rests, self.unloaded, doing, problem, sorted(self._loaded), counts)

    def counts(self) -> dict[tuple[str, Arm], Counts]:
        """What each release has answered on each arm since the process began."""
        return self._arranger.counts()

    def batches(self) -> dict[str, Snapshot]:
        """What the batcher of each loaded release has done."""
        found = {digest: made.snapshot() for digest, made in self._loaded.items()}
        return {digest: snapshot for digest, snapshot in found.items() if snapshot is not None}

    def measurements(self) -> dict[str, Sequence[Measurement]]:
        """What the handlers of each loaded release measured of themselves, such as what a cache is worth."""
        return {digest: made.measurements() for digest, made in self._loaded.items()}

    async def _woken(self, release: str, request: Request) -> Response:
        """The answer after the model was loaded for it; many that ask meanwhile wait for one load."""
        if self._rested is not None:
            self._waking = self._waking or asyncio.ensure_future(self._wake())
            await self._awake(asyncio.shield(self._waking), request.deadline)
        if self._stack is None:
            raise self._nothing_loaded()
        return await (self.version(release) if release else self)(request)

    async def _awake(self, loaded: asyncio.Future[None], deadline: float | None) -> None:
        """Wait for the load as long as whoever asked will. Raises Late."""
        try:
            await (loaded if deadline is None else InTime(loaded, deadline, self.clock))
        except Late:
            raise Late("the model was still being loaded at the deadline; ask again", 1.0) from None

    async def _wake(self) -> None:
        """A load for whoever asked. A failure leaves the model at rest, and the next who asks tries again."""
        try:
            await self.sync(again=True)
        except Exception as wrong:
            self.problem = f"the model cannot be loaded: {type(wrong).__name__}: {wrong}"
            log.exception("%r could not be woken", self.name)
        finally:
            self._waking = None

    def _check_name(self, name: str) -> None:
        if name and name != self.name:
            raise Missing(unknown("model", name, (self.name,)))

    def _nothing_loaded(self) -> RoadworthyError:
        if self.unloaded:
            return Overloaded(f"{self.name!r} was unloaded; ask again when somebody has loaded it", 30.0)
        why = f" ({self.problem})" if self.problem else ""
        return Overloaded(f"{self.name!r} has no release loaded{why}; ask again when /v2/health/ready answers 200")

    def _let_go(self) -> Stack | None:
        stack, self._stack = self._stack, None
        if stack is not None:
            self._retired.append(stack)
        return stack

    def _to_do(self, wanted: Traffic, again: bool) -> bool:
        if self._rested is not None and self._rested.traffic == wanted and not again:
            return False
        if self._stack is None or self._stack.traffic != wanted:
            return again or wanted != self._refused
        if self._refused is not None:  # what could not be loaded is no longer wanted
            self._refused, self.problem = None, ""
        return again and bool(self.problem)

    async def _change(self, wanted: Traffic) -> None:
        self.problem = ""
        try:
            handler = await self._load(wanted.stable)
        except Exception as wrong:
            if self._stack is None:
                raise
            self._refused = wanted
            await self._trouble("stable", wanted.stable, wrong)
            return
        stable, candidate = Loaded(wanted.stable, handler), await self._candidate(wanted)
        stack = self._arranger(wanted, stable, candidate, await self._previous(wanted.stable))
        self._let_go()
        self._stack, self._rested, self._refused = stack, None, None

    async def _candidate(self, wanted: Traffic) -> Loaded | Mirrored | None:
        if wanted.candidate is None or wanted.mode == "stable":
            return None
        try:
            if wanted.mode == "shadow":  # which may hang, crash or eat all memory: never in this process
                return await self._arranger.mirrored(await asyncio.to_thread(self._recipe, wanted.candidate))
            return Loaded(wanted.candidate, await self._load(wanted.candidate))
        except Exception as wrong:
            await self._trouble("candidate", wanted.candidate, wrong)
            return None

    async def _previous(self, stable: str) -> Loaded | None:
        """The release that was stable before this one, where a fallback may ask it. One that fails to load is told."""
        if not self._arranger.needs_previous:
            return None
        history = await asyncio.to_thread(self.registry.history, self.name, "stable")
        before = [change.digest for change in history if change.digest not in (None, stable)]
        if not before or before[-1] is None:
            return None
        try:
            return Loaded(before[-1], await self._load(before[-1]))
        except Exception as wrong:
            await self._trouble("previous", before[-1], wrong)
            return None

    async def _load(self, digest: str) -> Assembled | Mixture:
        """The handlers of a release, loaded and warm. Off the loop, which goes on answering."""
        if digest not in self._loaded:
            began = time.monotonic()
            self._loaded[digest] = await asyncio.to_thread(self._assemble, digest)
            await self._note(note_load, digest, time.monotonic() - began)
        return self._loaded[digest]

    def _assemble(self, digest: str) -> Assembled | Mixture:
        release = self.registry.get(digest)
        made = assembled(release, self.registry.files(release), self.spec.root, self.spec.serving, without=True)
        made.warm_up()
        return made

    def _recipe(self, digest: str) -> Recipe:
        release = self.registry.get(digest)
        return Recipe.of(release, self.registry.files(release), self.spec.root, self.spec.serving)

    async def _trouble(self, arm: str, digest: str, wrong: Exception) -> None:
        self.problem = f"the {arm} release {digest[:12]} cannot be loaded: {type(wrong).__name__}: {wrong}"
        log.error("%s", self.problem, exc_info=wrong)
        await self._note(note_failed_load, arm, digest, self.problem)

    async def _note(self, write: Callable[..., Any], *about: Any) -> None:
        """Have an event written; what is loaded answers whether or not anybody can write."""
        try:
            await asyncio.to_thread(write, self.state.engine, self.now(), self.name, *about)
        except Exception:
            log.exception("an event could not be written: %s", about)

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
