"""The ways of rows that were routed: the router's step, then each call with its reason, its chance and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from roadworthy.core.charges import ROUTER, chances_told
from roadworthy.core.wire import Response, Step, Tensor
from roadworthy.route.routing.called import Called
from roadworthy.route.routing.choosing import Choice
from roadworthy.route.routing.comparing import Shares
from roadworthy.route.routing.looking import Look, part_of
from roadworthy.route.routing.merging import Part, Way, tensors_of


class Manner(NamedTuple):
    """How members are asked: tries, what a failed one is billed, and what the router's own second costs."""

    tries: int = 1
    failed_share: float = 1.0
    router_usd_per_second: float = 0.0
    router: str = ""


class Group(NamedTuple):
    """Rows for which the same member was chosen, and that are as free."""

    rows: Sequence[int]
    choices: Sequence[Choice]


class Ways:
    """Writes the ways of a group's rows, and puts their answer together."""

    def __init__(self, weak: str, strong: str, manner: Manner, group: Group, shares: Shares, seconds: float) -> None:
        self.weak, self.strong = weak, strong
        self.manner, self.group, self.shares, self.seconds = manner, group, shares, seconds
        self._by = f", router {manner.router}" if manner.router else ""

    def part(
        self,
        calls: Sequence[tuple[Called, str]],
        looks: Sequence[Look] | None = None,
        rows: Sequence[int] | None = None,
        raised: bool = False,
    ) -> Part:
        """What these calls, each with what it is to be called, made of the rows (of the group).

        `raised` rows had to go to the strong member, whatever was drawn.
        """
        at = range(len(self.group.rows)) if rows is None else rows
        chances = self._chances(raised)
        text = f", {chances_told(chances)}{self._by}"
        ways = [self._way(row, calls, looks, chances, text) for row in at]
        known = any(called.usd is not None for called, _ in calls)
        usd = sum([step.usd or 0.0 for way in ways for step in way]) if known else None
        return Part([self.group.rows[row] for row in at], self._answer(calls, at), ways, usd, raised)

    def _chances(self, raised: bool) -> dict[str, float]:
        wanted, other = 1.0 - self.shares.explore, self.shares.audit + self.shares.explore
        if self.group.choices[0].strong:
            return {self.weak: other, self.strong: wanted}
        return {self.weak: wanted, self.strong: 1.0 if raised else other}

    def _way(
        self,
        row: int,
        calls: Sequence[tuple[Called, str]],
        looks: Sequence[Look] | None,
        chances: dict[str, float],
        text: str,
    ) -> Way:
        why, look = self.group.choices[row].why, None if looks is None else looks[row]
        steps = [Step(ROUTER, why + text, self.seconds * self.manner.router_usd_per_second, self.seconds)]
        for called, prefix in calls:
            name = called.member.name
            # Whoever was asked after a look at the cheap answer was asked for what was seen there.
            reason = look.why if look is not None and look.why and name == self.strong else why
            steps += _steps(called, f"{prefix}{reason}, propensity {chances[name]:.6g}{self._by}", row)
            if look is not None and look.verified is not None and name == self.weak:
                steps.append(look.verified)
        return tuple(steps)

    def _answer(self, calls: Sequence[tuple[Called, str]], at: Sequence[int]) -> Response:
        """The strong member's answer, with what the weak one said as outputs more; else the weak one's."""
        found = {called.member.name: _cut(called, at) for called, _ in calls if called.response is not None}
        weak, strong = found.get(self.weak), found.get(self.strong)
        if weak is not None and strong is not None:
            return _with(strong, weak, self.weak)
        answer = strong if weak is None else weak
        assert answer is not None
        return answer


def _steps(called: Called, because: str, row: int) -> list[Step]:
    """What one call leaves on the way of one of its rows, an even share of what it cost."""
    n, response = len(called.rows), called.response
    steps = called.failures if n == 1 else [_share(step, n) for step in called.failures]
    if response is None:
        return steps
    # What the member's own way says that it paid is no part of what the member alone cost.
    place = called.rows.index(row)
    inner = [*(response.path if n == 1 else [_share(step, n) for step in response.path])]
    if response.paths is not None:
        inner += response.paths[place]
    usd = response.row_usd(place, n) if response.usd is not None else _part(called.usd, n)
    alone = usd if usd is None or not inner else usd - sum([step.usd or 0.0 for step in inner])
    return [*steps, Step(called.member.name, because, alone, called.seconds / n), *inner]


def _share(step: Step, n: int) -> Step:
    return replace(step, usd=_part(step.usd, n), seconds=_part(step.seconds, n))


def _part(whole: float | None, n: int) -> float | None:
    return None if whole is None else whole / n


def _cut(called: Called, at: Sequence[int]) -> Response:
    """The call's answer to these rows."""
    assert called.response is not None
    if len(at) == len(called.rows):
        return called.response
    return part_of(called.response, [called.rows.index(row) for row in at])


def _with(strong: Response, weak: Response, name: str) -> Response:
    """The strong answer; the weak one's outputs and confidence stand beside, under the weak member's name."""
    beside = {f"{name}.{key}": replace(tensor, name=f"{name}.{key}") for key, tensor in tensors_of(weak).items()}
    if weak.confidence is not None:
        sure = f"{name}.confidence"
        beside[sure] = Tensor(sure, "FP64", (len(weak.confidence),), list(weak.confidence))
    return replace(strong, outputs={**tensors_of(strong), **beside})
