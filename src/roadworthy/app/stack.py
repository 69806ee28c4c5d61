"""One arrangement of loaded releases: who answers, who is only shown the requests, who answers in another's place."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from weakref import WeakValueDictionary

from msgspec.structs import replace

from roadworthy.app.apart import Apart
from roadworthy.app.mixture import Mixture
from roadworthy.core.breaker import Breaker
from roadworthy.core.catalog import read_plan
from roadworthy.core.spec import Spec
from roadworthy.core.wire import Arm, Handler, Request, Response, Tensor
from roadworthy.rollout.shadows.shadow import Shadow
from roadworthy.rollout.traffic import Traffic
from roadworthy.route.policies.split import Split
from roadworthy.serve.assemble import Assembled, Recipe
from roadworthy.serve.fallback import Fallback, Given, answers_of
from roadworthy.serve.meter import Counts, Meter
from roadworthy.serve.recorded import Keep, Recorded


@dataclass(frozen=True)
class Loaded:
    """A release that is in memory."""

    digest: str
    handler: Assembled | Mixture


@dataclass(frozen=True)
class Mirrored:
    """A release that is in the memory of another process, which is only shown requests."""

    digest: str
    handler: Apart


@dataclass(eq=False)
class Stack:
    """`arms` are the releases that may answer, each alone; `uses` all that must stay loaded.

    `asked` counts the requests that came, `in_flight` those that are not answered yet, streams to their end.
    """

    traffic: Traffic
    handler: Handler
    arms: Mapping[str, Handler]
    uses: tuple[str, ...]
    shadow: Shadow | None = None
    in_flight: int = 0
    asked: int = 0

    @property
    def idle(self) -> bool:
        """Does nobody wait for it any more?"""
        return not self.in_flight and (self.shadow is None or not self.shadow.in_flight)

    async def ask(self, handler: Handler, request: Request) -> Response:
        """What one of its handlers answers."""
        self.asked += 1
        self.in_flight += 1
        try:
            response = await handler(request)
        finally:
            self.in_flight -= 1
        outputs = response.outputs
        if type(outputs) is dict or isinstance(outputs, Mapping):
            return response
        return replace(response, outputs=self._held(outputs))

    async def _held(self, tensors: AsyncIterator[Tensor]) -> AsyncIterator[Tensor]:
        """A stream that holds the stack, and so its model, until it ends."""
        self.in_flight += 1
        try:
            async for tensor in tensors:
                yield tensor
        finally:
            self.in_flight -= 1


@dataclass(frozen=True)
class Arranger:
    """Makes Stacks of loaded releases. Its meters count on from one to the next."""

    spec: Spec
    keep: Keep
    clock: Callable[[], float] = time.monotonic
    rng: Random = field(default_factory=Random)
    meters: dict[tuple[str, Arm], Meter] = field(default_factory=dict)
    _aparts: WeakValueDictionary[str, Apart] = field(default_factory=WeakValueDictionary)

    @property
    def aparts(self) -> Mapping[str, Apart]:
        """The processes of mirrored releases, by digest."""
        return dict(self._aparts)

    @property
    def needs_previous(self) -> bool:
        """May the release before the stable one be asked, so that it must be loaded too?"""
        return any(read_plan(plan)[0] == "previous" for plan in self.spec.serving.fallback)

    def __call__(
        self, wanted: Traffic, stable: Loaded, beside: Loaded | Mirrored | None, before: Loaded | None
    ) -> Stack:
        """The stack for this traffic, with the release that stands `beside` stable, if any.

        In another's place answers: for the release beside, stable; for stable, the release before it.
        """
        low = self._recorded(stable, "stable")
        safe = self._safe(low, stable, before)
        uses = tuple(one.digest for one in (stable, beside, before) if one is not None)
        if beside is None:
            return Stack(wanted, safe, {stable.digest: low}, uses)
        if isinstance(beside, Mirrored):
            shadow = self._shadow(wanted, safe, stable, beside)
            return Stack(wanted, shadow, {stable.digest: low}, uses, shadow)
        other = self._recorded(beside, "holdback" if wanted.mode == "holdback" else "canary")
        split = _split(wanted, safe, self._safe(other, beside, stable))
        return Stack(wanted, split, {stable.digest: low, beside.digest: other}, uses)

    async def mirrored(self, recipe: Recipe) -> Mirrored:
        """The release in a process of its own, which outlives a change of stacks. Raises what loading raises."""
        digest = recipe.release.digest
        apart = self._aparts.get(digest)
        if apart is None:
            apart = self._aparts[digest] = Apart(recipe)
        await apart.start()
        return Mirrored(digest, apart)

    def _shadow(self, wanted: Traffic, safe: Handler, stable: Loaded, beside: Mirrored) -> Shadow:
        apart = beside.handler
        mirror = self._recording("shadow", apart, beside.digest)
        part = Split(wanted.share, wanted.salt, where=wanted.where, key=wanted.key)
        every = wanted.share == 1 and not wanted.where
        answering = stable.handler
        return Shadow(
            safe,
            mirror,
            None,
            None if every else part.chooses,
            lambda: answering.rows_waiting > 0,
            lambda: apart.stopped,
        )

    def counts(self) -> dict[tuple[str, Arm], Counts]:
        """What each release has answered on each arm since the process began."""
        return {of: meter.snapshot() for of, meter in self.meters.items()}

    def _recorded(self, loaded: Loaded, arm: Arm) -> Handler:
        return self._recording(arm, loaded.handler, loaded.digest)

    def _recording(self, arm: Arm, handler: Handler, release: str) -> Handler:
        meter = self.meters.setdefault((release, arm), Meter())
        return Recorded(handler, self.keep, release, arm, meter=meter)

    def _safe(self, handler: Handler, loaded: Loaded, previous: Loaded | None) -> Handler:
        """The handler with the fallbacks of the project around it. Its failures stay its own rows."""
        plans = self.spec.serving.fallback
        if not plans:
            return handler
        given = Given(
            self.spec.signature,
            self.spec.root,
            loaded.digest,
            None if previous is None else previous.handler,
            "" if previous is None else previous.digest,
            loaded.handler.remembered,
        )
        breaker = Breaker(self.clock, self.rng)
        record = partial(self._recording, "fallback")
        return Fallback(handler, answers_of(plans, given), breaker, record=record, now=self.clock)


def _split(wanted: Traffic, stable: Handler, beside: Handler) -> Handler:
    """The share of the keys in the canary, or all but the share that is held back.

    In both the release that is tried has the keys that draw low, so those that are held back are the last that a ramp
    would have reached.
    """
    if wanted.mode != "holdback":
        split = Split(wanted.share, wanted.salt, where=wanted.where, key=wanted.key)
        return split({"stable": stable, "canary": beside})
    split = Split(1 - wanted.share, wanted.salt, "holdback", "stable", wanted.where, wanted.key)
    return split({"stable": stable, "holdback": beside})
