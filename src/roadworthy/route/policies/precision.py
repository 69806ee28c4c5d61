"""One model in several precisions: the request, its budget, the load or its difficulty say which one answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from msgspec.structs import replace

from roadworthy.core.errors import BadRequest, SpecError, unknown
from roadworthy.core.wire import Handler, Request, Response
from roadworthy.route.answering.climb import Climb, Rules
from roadworthy.route.answering.levels import Level, check
from roadworthy.route.answering.member import Member, members_of, own_step
from roadworthy.route.base import policy

Chosen = tuple[Member, str]


@policy("precision")
@dataclass(frozen=True)
class Precision:
    """Serves several precisions of one model, the cheapest first, and chooses one for each request.

    What a request says goes first: its parameter `asked_by` names a precision, or `budget_by` the US dollars that it
    may cost, for which the dearest that fits is taken. Else load decides: one that is asked about `busy_rows` of it is
    passed over for the next cheaper one. Else difficulty, where there are `levels` as a cascade has them. Else
    `usual` answers (the dearest where not said).
    """

    asked_by: str = "precision"
    budget_by: str = "budget_usd"
    busy_rows: Mapping[str, int] = field(default_factory=dict)
    usual: str = ""
    levels: tuple[Level, ...] = ()
    output: str = ""
    classes: tuple[str, ...] = ()
    seed: int = 0
    usd_per_1k: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.asked_by or not self.budget_by or self.asked_by == self.budget_by:
            raise ValueError(
                f"`asked_by` and `budget_by` name two parameters, got {self.asked_by!r} and {self.budget_by!r}"
            )
        if any(rows < 1 for rows in self.busy_rows.values()):
            raise ValueError(f"`busy_rows` maps a precision to 1 row or more, got {dict(self.busy_rows)!r}")
        if self.usual and self.levels:
            raise ValueError("`levels` say who answers where nothing else does: leave out `usual`")

    def __call__(
        self, handlers: Mapping[str, Handler], now: Callable[[], float] = time.monotonic, rng: Random | None = None
    ) -> Choosing:
        """The handler that asks one of the precisions. Raises SpecError where a setting names one that is not there."""
        for name in (*self.busy_rows, *([self.usual] if self.usual else [])):
            if name not in handlers:
                raise SpecError(unknown("precision", name, handlers))
        rng = rng or Random(self.seed)
        members = members_of(handlers, self.usd_per_1k, now, rng)
        if not self.levels:
            return Choosing(self, members, None, now)
        check(self.levels, tuple(handlers))
        climbing = [members[level.at] for level in self.levels]
        return Choosing(self, members, Climb(self.levels, climbing, Rules(self.output, self.classes), now, rng), now)


class Choosing:
    """A Handler that asks one of `members`, cheapest first, or `climb` where nothing but difficulty speaks."""

    def __init__(
        self, settings: Precision, members: Mapping[str, Member], climb: Climb | None, now: Callable[[], float]
    ) -> None:
        self.settings, self.members, self.climb = settings, dict(members), climb
        self._now = now
        self._dearest_first = tuple(members.values())[::-1]
        self._usual = members[settings.usual] if settings.usual else self._dearest_first[0]

    def __repr__(self) -> str:
        return f"Choosing({', '.join(map(repr, self.members.values()))})"

    async def __call__(self, request: Request) -> Response:
        """The answer of the chosen one. Raises BadRequest for an unknown precision or a budget that none fits."""
        chosen = self._said(request) or self._by_load(request.n)
        if chosen is None and self.climb is not None:
            return await self.climb(request)
        member, because = chosen or (self._usual, "nothing speaks against it")
        began = self._now()
        response = await member(request)
        return self._told(response, request, member, because, self._now() - began)

    def _said(self, request: Request) -> Chosen | None:
        settings, parameters = self.settings, request.parameters
        if not parameters:
            return None
        name = parameters.get(settings.asked_by)
        if name is not None:
            if name not in self.members:
                raise BadRequest(f"parameter {settings.asked_by!r}: {unknown('precision', str(name), self.members)}")
            return self.members[name], f"the request asks for it with `{settings.asked_by}`"
        budget = parameters.get(settings.budget_by)
        return None if budget is None else self._within(budget, request.n)

    def _within(self, budget: Any, rows: int) -> Chosen:
        """The dearest precision that `rows` rows can be had of for the budget."""
        named = self.settings.budget_by
        if isinstance(budget, bool) or not isinstance(budget, int | float) or not budget >= 0:
            raise BadRequest(f"parameter {named!r} is a number of US dollars, 0 or more; got {budget!r}")
        if any(member.usd is None for member in self._dearest_first):
            raise BadRequest(f"parameter {named!r} cannot be kept: not every precision here has a price (`usd_per_1k`)")
        costs = [((member.usd or 0.0) * rows, member) for member in self._dearest_first]
        for usd, member in costs:
            if usd <= budget:
                return member, f"{usd:.3g} USD, within the {budget:.3g} USD of `{named}`"
        least = min(usd for usd, _ in costs)
        raise BadRequest(f"{rows} rows cost {least:.3g} USD at the least, and `{named}` is {budget!r}: raise it")

    def _by_load(self, rows: int) -> Chosen | None:
        """The next cheaper one that is not busy; None where the usual one, or the first level, is not."""
        busy = self.settings.busy_rows
        told = ""
        for member in self._dearest_first[self._dearest_first.index(self._usual) :]:
            most = busy.get(member.name)
            if most is None or member.rows_in_flight + rows <= most or (not told and not member.rows_in_flight):
                return (member, told) if told else None
            told = f"{member.name!r} has {member.rows_in_flight} rows in flight, {most} are its most"
        cheapest = self._dearest_first[-1]
        return cheapest, told

    def _told(self, response: Response, request: Request, member: Member, because: str, seconds: float) -> Response:
        rows, usd = request.n, member.bill(response, request.n)
        inner = response.row_path(0) if rows == 1 else response.path
        step = own_step(member.name, because, inner, usd, seconds)
        return replace(response, path=(*response.path, step), usd=usd)
