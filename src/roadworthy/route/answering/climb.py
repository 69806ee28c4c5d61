"""A Climb asks models from the cheapest to the dearest, each row only as far as it must go, and says why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from msgspec.structs import replace

from roadworthy.core.charges import NOT_ANSWERED, NOT_ASKED, STANDS
from roadworthy.core.dials import Dial
from roadworthy.core.errors import Late, Overloaded
from roadworthy.core.measure import Measurement
from roadworthy.core.rows import asking
from roadworthy.core.stats import proportion
from roadworthy.core.wire import Request, Response, Step, Tensor
from roadworthy.route.answering.audits import audit_step
from roadworthy.route.answering.cap import Cap, Granting
from roadworthy.route.answering.levels import CUT, Judged, Level, flat, output_of
from roadworthy.route.answering.member import Member, NotAsked, is_theirs, own_step, reason, waits_until
from roadworthy.route.answering.parted import Place, way_within, whole

RETRY_SECONDS = 10.0
UNBOUNDED = Cap()


@dataclass(frozen=True)
class Rules:
    """What a climb does beside its levels; `policies/cascade.py` tells what each is for.

    `crossing`: thresholds may come to lie beyond one half, so that `decision` is always told.
    """

    output: str = ""
    classes: tuple[str, ...] = ()
    cap: Cap = UNBOUNDED
    outage: Literal["keep", "fail"] = "keep"
    audit: float = 0.0
    decision: str = ""
    crossing: bool = False


@dataclass(eq=False)
class Journey:
    """One request on its way up: of each row where its answer stands, what it was decided for, and its stops."""

    request: Request
    places: list[Place | None]
    decided: list[Any]
    ways: list[tuple[Step, ...]]
    left: list[int]
    audited: list[int] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    usd: float | None = None
    failed: Exception | None = None
    unconfirmed: int = 0
    counted: bool = False

    @classmethod
    def of(cls, request: Request) -> Journey:
        """At its beginning."""
        n = request.n
        return cls(request, [None] * n, [None] * n, [()] * n, list(range(n)))

    def add(self, rows: Sequence[int], step: Step) -> None:
        """The same stop for these rows."""
        for k in rows:
            self.ways[k] = (*self.ways[k], step)

    def took(self, response: Response) -> None:
        """Add up what the stages of an answer took: levels are asked one after the other."""
        for stage, seconds in response.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def pay(self, usd: float | None) -> None:
        """Add to what the request cost."""
        if usd is not None:
            self.usd = (self.usd or 0.0) + usd


class Climb:
    """The Handler of a cascade: `levels` with their `members`, the cheapest first.

    Where there is a `dial`, `turn` puts the levels in force that `turned` finds in it.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        members: Sequence[Member],
        rules: Rules,
        now: Callable[[], float],
        rng: Random,
        dial: str = "",
        turned: Callable[[Dial], Sequence[Level]] | None = None,
    ) -> None:
        self.levels, self.members, self.rules = tuple(levels), tuple(members), rules
        self.dial, self._turned = dial, turned
        self.granting = Granting(rules.cap, now)
        self._now, self._rng = now, rng
        self._top = len(levels) - 1
        self.rows = self.sent = self.unconfirmed = self.audits = self.agreeing = 0
        self._tells = bool(rules.decision) and (rules.crossing or any(level.crosses for level in levels))

    def __repr__(self) -> str:
        return f"Climb({', '.join(map(repr, self.members))})"

    def turn(self, dial: Dial) -> None:
        """Keep by what the dial says, from the next level that is asked on."""
        if self._turned is not None:
            self.levels = tuple(self._turned(dial))

    def measurements(self) -> tuple[Measurement, ...]:
        """Since the process began: rows sent past the first level, given unconfirmed, and audits that agreed."""
        return (
            proportion("escalation_share", self.sent, self.rows),
            proportion("unconfirmed_share", self.unconfirmed, self.rows),
            proportion("audit_agreement", self.agreeing, self.audits),
        )

    async def __call__(self, request: Request) -> Response:
        """The answer, each row's from the level that kept it. Raises what the declared behaviour lets through."""
        journey = Journey.of(request)
        if not request.n:
            return await self.members[0](request)
        for number in range(self._top + 1):
            rows = self._rows(number, journey)
            if rows:
                self.sent += len(journey.left) if number == 1 else 0  # audits go there, too, and are not sent on
                await self._ask(number, rows, journey)
            if not journey.left and not journey.audited:
                break
        if not journey.counted:
            self.granting.saw(request.n)
        return self._answer(journey)

    def _rows(self, number: int, journey: Journey) -> list[int]:
        """The rows that this level is asked about: those that are left and, at the last level, audits."""
        wanted = sorted((*journey.left, *journey.audited)) if number == self._top else journey.left
        if not number or not wanted or not self.rules.cap:
            return wanted
        granted = self._granted(number, wanted, journey)
        if len(granted) < len(wanted):
            go_on = set(granted)
            self._stop(number, [k for k in wanted if k not in go_on], journey)
        return granted

    def _granted(self, number: int, wanted: Sequence[int], journey: Journey) -> list[int]:
        usd = self.members[number].usd or 0.0
        if number < self._top:
            return [k for k in wanted if self.granting.pay(usd)]
        asked = set(wanted)
        journey.counted = True
        may = self.granting.last([k in asked for k in range(journey.request.n)], usd)
        return [k for k in wanted if may[k]]

    def _stop(self, number: int, rows: Sequence[int], journey: Journey) -> None:
        """The cap does not let these rows go on. Raises Overloaded, or why they have no answer yet."""
        told = f"{NOT_ASKED}, for the cap is reached: {self.granting.words()}"
        stopped, unsure = set(rows), set(journey.left)
        left = [k for k in rows if k in unsure]
        bare = [k for k in left if journey.places[k] is None]
        if bare and journey.failed is not None:
            raise journey.failed
        if left and (bare or self.rules.cap.then == "refuse"):
            raise Overloaded(f"{self.members[number].name!r} was {told}; ask again later", RETRY_SECONDS)
        journey.audited = [k for k in journey.audited if k not in stopped]
        self._stand(number, left, told, journey)

    def _stand(
        self, number: int, rows: Sequence[int], told: str, journey: Journey, seconds: float | None = None
    ) -> None:
        """The answers that these rows have stay theirs, though nobody was sure of them."""
        if not rows:
            return
        journey.add(rows, Step(self.members[number].name, f"{told}; {STANDS}", None, seconds))
        journey.unconfirmed += len(rows)
        left = set(rows)
        journey.left = [k for k in journey.left if k not in left]

    async def _ask(self, number: int, rows: list[int], journey: Journey) -> None:
        member, request = self.members[number], journey.request
        began = self._now()
        every = len(rows) == request.n
        # Whoever has an answer already is given it in time; whoever has none is owed as long as there is.
        may_stand = self.rules.outage == "keep" or not journey.left
        has = may_stand and all(journey.places[k] is not None for k in rows)
        until = waits_until(request, self.levels[number].wait_seconds, began, has)
        try:
            response = await member(request if every else asking(request, rows), until)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as wrong:
            self._without(number, rows, wrong, self._now() - began, journey)
        else:
            self._take(number, rows, response, self._now() - began, journey)

    def _without(self, number: int, rows: list[int], wrong: Exception, seconds: float, journey: Journey) -> None:
        """This level has no answer: the next one is asked, or at the last one the declared behaviour follows."""
        member, took = self.members[number], None if isinstance(wrong, NotAsked) else seconds
        if is_theirs(wrong, journey.request, self._now()):
            audits_only = not set(rows) & set(journey.left)
            if not audits_only and not self._can_stand(rows, wrong, journey):
                raise wrong
        told = f"{NOT_ASKED if took is None else NOT_ANSWERED}: {reason(wrong)}"
        # What is late was computed, or will be, for nobody; who did not answer at all did nothing to be paid for.
        usd = member.usd if isinstance(wrong, Late) else None
        if usd is not None:
            journey.pay(usd * len(rows))
        journey.failed = wrong
        if number < self._top:
            journey.add(rows, Step(member.name, f"{told}: sent on", usd, took))
            return
        left = list(journey.left)
        if left and (self.rules.outage == "fail" or any(journey.places[k] is None for k in left)):
            raise wrong
        audited = set(journey.audited)
        journey.add([k for k in rows if k in audited], Step(member.name, f"audit {told}", usd, took))
        journey.audited = []
        self._stand(number, left, told, journey, took)

    def _can_stand(self, rows: list[int], wrong: Exception, journey: Journey) -> bool:
        """A late level is made good by the answer that there is; a mistake of the caller's is told."""
        return isinstance(wrong, Late) and all(journey.places[k] is not None for k in rows)

    def _take(self, number: int, rows: list[int], response: Response, seconds: float, journey: Journey) -> None:
        """Keep what this level is sure of, and let the rest go on."""
        member, judged = self.members[number], self._judged(number, response)
        journey.took(response)
        audited, left = set(journey.audited), []
        for j, (k, usd) in enumerate(zip(rows, member.costs(response, len(rows)), strict=True)):
            inner = way_within(response, j, len(rows))
            journey.pay(usd)
            if k in audited:
                mine, theirs = journey.decided[k], judged[j].decided
                step = audit_step(member.name, self.rules.audit, mine, theirs, usd, seconds)
                journey.ways[k] = (*journey.ways[k], step)
                self.audits, self.agreeing = self.audits + 1, self.agreeing + (mine == theirs)
                continue
            journey.places[k], journey.decided[k] = Place(response, j), judged[j].decided
            own = own_step(member.name, judged[j].because, inner, usd, seconds)
            journey.ways[k] = (*journey.ways[k], *inner, own)
            if not judged[j].kept:
                left.append(k)
        journey.left = left
        if number == self._top:
            journey.audited = []
        elif self.rules.audit:
            draw = self._rng.random
            journey.audited += [k for j, k in enumerate(rows) if judged[j].kept and draw() < self.rules.audit]

    def _judged(self, number: int, response: Response) -> list[Judged]:
        rules, level = self.rules, self.levels[number]
        return level.judge(response, rules.output, rules.classes)

    def _answer(self, journey: Journey) -> Response:
        self.rows, self.unconfirmed = self.rows + len(journey.places), self.unconfirmed + journey.unconfirmed
        places = [place for place in journey.places if place is not None]
        response = whole(journey.request.id, places, journey.ways, journey.usd, journey.seconds)
        if self._tells and isinstance(response.outputs, dict):
            sides = Tensor(self.rules.decision, "BOOL", (len(places),), self._sides(journey, response))
            response = replace(response, outputs={**response.outputs, sides.name: sides})
        if journey.unconfirmed:
            # Nobody was sure of these answers: a cache must not go on giving them.
            told = {**response.parameters, "unconfirmed": journey.unconfirmed, "no-store": True}
            response = replace(response, parameters=told)
        return response

    def _sides(self, journey: Journey, response: Response) -> list[bool]:
        """What each row was decided for: by the thresholds that kept it, else by which half its probability is in."""
        values = flat(output_of(response, self.rules.output, self.members[0].name))
        halves = [value is not None and value >= CUT for value in values]
        return [side if type(side) is bool else half for side, half in zip(journey.decided, halves, strict=True)]
