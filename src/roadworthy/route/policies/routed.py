"""A fitted router gives each request to the cheaper or to the dearer of two models, and learns from traffic."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Literal, cast

from roadworthy.core.breaker import Breaker
from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.wire import Handler
from roadworthy.route.answering.budget import Budget
from roadworthy.route.answering.member import Member
from roadworthy.route.base import policy
from roadworthy.route.routing.choosing import Chooser, Worth
from roadworthy.route.routing.comparing import Comparing
from roadworthy.route.routing.contract import AfterRouter, GainRouter
from roadworthy.route.routing.looking import After
from roadworthy.route.routing.routing import Routing
from roadworthy.route.routing.sessions import Sessions, Stickiness
from roadworthy.route.routing.ways import Manner


@policy("routed")
@dataclass(frozen=True)
class Routed:
    """Each request goes to the cheap or the dear of two models, by what a router expects of them.

    The router (`file`, from `roadworthy route fit`) looks at the request before anybody answers; or the cheap model is
    asked first and its answer looked at `after`: by its `confidence`, by the router, by the handler named `verifier`;
    or `both`. A row that is unlike the router's own goes to the dear model at once, and so does every row after the
    alarm of the stream, which the router watches before the answer however it is asked.

    A share `audit` of the requests asks both models, and a share `explore` the one that was not wanted, on the chances
    that the path tells, within `usd_per_hour` and `usd_per_day`: of any hour and any day, and of all processes of a
    deployment together (`app/spending.py`). An audit of a cheap request answers with the dear model's answer and in its
    time; one of a dear request delays nobody. What the cheap model said stands beside as outputs `<name>.<output>`.

    `stickiness` keeps the callers of one key on a model: after `latch_after` requests that wanted the dear one they
    stay with it ("latch"), and until then where their first one went ("session"). A member that failed
    `most_failures` times in a row rests `rest_seconds`, give or take a quarter, one with `most_in_flight` calls is full
    (0: never): the other answers meanwhile, as it does where a call fails `tries` times. `gain_per_second` and
    `gain_per_usd` move the bar with live latency and price beyond the `usual_seconds` and `usual_usd` between the two
    models. `usd` is the price of a row by member, where answers bring none; a failed call is billed `failed_share` of
    the live one.
    """

    file: Path = field(default_factory=Path)
    when: Literal["before", "after", "both"] = "before"
    confidence: float = 0.0
    verifier: str = ""
    verified: float = 0.5
    audit: float = 0.0
    explore: float = 0.0
    usd_per_hour: float = 0.0
    usd_per_day: float = 0.0
    salt: str = "routed"
    stickiness: Stickiness = "no"
    latch_after: int = 3
    most_sessions: int = 10_000
    idle_seconds: float = 1800.0
    tries: int = 1
    failed_share: float = 1.0
    most_in_flight: Mapping[str, int] = field(default_factory=dict)
    most_failures: int = 3
    rest_seconds: float = 10.0
    gain_per_second: float = 0.0
    gain_per_usd: float = 0.0
    usual_seconds: float = 0.0
    usual_usd: float = 0.0
    usd: Mapping[str, float] = field(default_factory=dict)
    router_usd_per_hour: float = 0.0

    def __post_init__(self) -> None:
        for name in ("confidence", "verified", "audit", "explore", "failed_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be between 0 and 1, got {getattr(self, name)!r}")
        if self.audit + self.explore >= 1:
            raise ValueError(f"`audit` and `explore` together must stay below 1, got {self.audit + self.explore!r}")
        if self.audit + self.explore and not (self.usd_per_hour > 0 or self.usd_per_day > 0):
            raise ValueError("comparisons cost money: `audit` and `explore` need `usd_per_hour` or `usd_per_day`")
        for name in ("tries", "most_sessions", "most_failures"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)!r}")
        if not self.rest_seconds > 0:
            raise ValueError(f"`rest_seconds` must be above 0, got {self.rest_seconds!r}")
        if self.when == "before" and (self.confidence or self.verifier):
            raise ValueError("`confidence` and `verifier` look at an answer: write `when: after` or `when: both`")

    def __call__(self, handlers: Mapping[str, Handler]) -> Handler:
        """The handler over `handlers`, cheapest first, with the router of `file`. Raises SpecError."""
        return self.over(handlers, *self._loaded())

    def over(
        self,
        handlers: Mapping[str, Handler],
        router: GainRouter | None,
        name: str = "",
        now: Callable[[], float] = time.monotonic,
        rng: Random | None = None,
    ) -> Routing:
        """The same with a router in hand. `name` is what paths call it."""
        members = self._members(handlers, now, rng or Random())
        weak, strong = (member for name, member in members.items() if name != self.verifier)
        sessions = Sessions(self.stickiness, self.latch_after, self.most_sessions, self.idle_seconds)
        worth = Worth(self.gain_per_second, self.gain_per_usd, self.usual_seconds, self.usual_usd)
        chooser = Chooser(weak, strong, router, sessions, worth, weak_first=self.when == "after")
        budget = Budget("comparisons", now, self.usd_per_hour, self.usd_per_day)
        comparing = Comparing(self.audit, self.explore, self.salt, budget)
        manner = Manner(self.tries, self.failed_share, self.router_usd_per_hour / 3600, name)
        return Routing(chooser, comparing, self._after(router, members.get(self.verifier)), manner, now)

    def _members(self, handlers: Mapping[str, Handler], now: Callable[[], float], rng: Random) -> dict[str, Member]:
        """The two models, and the verifier where there is one. Raises SpecError."""
        names = [name for name in handlers if name != self.verifier]
        if len(names) != 2:
            raise SpecError(
                f"`routed` chooses between two models, the cheaper one first; got {', '.join(names) or 'none'}"
                f"{' beside the verifier' if self.verifier else ''}"
            )
        if self.verifier and self.verifier not in handlers:
            raise SpecError(unknown("member to verify answers", self.verifier, handlers))
        for name in ({*self.usd} | {*self.most_in_flight}) - {*handlers}:
            raise SpecError(unknown("member", name, handlers))
        return {
            name: Member(
                name, handler, self.usd.get(name), now, self._breaker(now, rng), self.most_in_flight.get(name, 0)
            )
            for name, handler in handlers.items()
        }

    def _breaker(self, now: Callable[[], float], rng: Random) -> Breaker:
        """Opens where each of the last `most_failures` calls failed; then one caller finds out whether it is back."""
        most, rest = self.most_failures, self.rest_seconds
        return Breaker(now, rng, 1 - 0.5 / most, most, most, math.inf, rest, rest, probes=1, z=0.0)

    def _after(self, router: GainRouter | None, verifier: Member | None) -> After | None:
        """The look at the cheap answer, where there is one. Raises SpecError where there is nothing to go by."""
        looks = cast("AfterRouter", router) if hasattr(router, "gain_after") else None
        by_answer = bool(self.confidence or verifier)
        if router is None and not (self.when == "after" and by_answer):
            raise SpecError("`routed` has no router: `file` is what `roadworthy route fit` wrote")
        if self.when == "before":
            return None
        if looks is None and not by_answer:
            raise SpecError(
                "this router does not look at answers: `when: after` and `both` need `confidence`, a `verifier`, or a "
                "router that was fitted with the cheap model's answers"
            )
        return After(self.confidence, looks, verifier, self.verified)

    def _loaded(self) -> tuple[GainRouter | None, str]:
        if self.file == Path():
            return None, ""
        if not self.file.is_file():
            raise SpecError(f"no file {str(self.file)!r} to read a router from; `roadworthy route fit` writes one")
        # Heavy, and of no use to whoever only reads the settings.
        from roadworthy.route.routers.router import load

        return load(self.file), sha256(self.file.read_bytes()).hexdigest()[:6]
