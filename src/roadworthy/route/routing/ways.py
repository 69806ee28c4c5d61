"""The ways of rows that were routed: the router's step, then each call with its reason, its chance and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from roadworthy.core.charges import ROUTER, chances_told
from roadworthy.core.wire import Response, Step, Tensor
from roadworthy.route.answering.member import own_step
from roadworthy.route.answering.parted import Place, Way, part_of, shared, tensors_of, undivided, way_within, whole
from roadworthy.route.routing.called import Called
from roadworthy.route.routing.choosing import Choice
from roadworthy.route.routing.comparing import Shares
from roadworthy.route.routing.looking import Look


class Manner(NamedTuple):
    """How members are asked: tries, what a failed one is billed, what the router's own second costs, and its name."""

    tries: int = 1
    failed_share: float = 1.0
    router_usd_per_second: float = 0.0
    router: str = ""

    @property
    def by(self) -> str:
        """By whom, for the end of a reason."""
        return f", router {self.router}" if self.router else ""


class Group(NamedTuple):
    """Rows for which the same member was chosen, and that are as free."""

    rows: Sequence[int]
    choices: Sequence[Choice]


class Part(NamedTuple):
    """What some rows of a request were answered, and the way of each; `raised` where the cheap answer did not do."""

    rows: Sequence[int]
    response: Response
    ways: Sequence[Way]
    usd: float | None
    raised: bool = False


class Chances(NamedTuple):
    """How likely either member was to be asked, as the ends of reasons: the router's, and that of each call."""

    drawn: str
    of: Mapping[str, str]


# There are a handful of them: the shares are settings.
@lru_cache(maxsize=256)
def _chances(weak: str, weak_chance: float, strong: str, strong_chance: float, by: str) -> Chances:
    each = {weak: weak_chance, strong: strong_chance}
    return Chances(
        f", {chances_told(each)}{by}", {name: f", propensity {chance:.6g}{by}" for name, chance in each.items()}
    )


class Ways:
    """Writes the ways of a group's rows, and puts their answer together."""

    def __init__(self, weak: str, strong: str, manner: Manner, group: Group, shares: Shares, seconds: float) -> None:
        self.weak, self.strong = weak, strong
        self.manner, self.group, self.shares, self.seconds = manner, group, shares, seconds
        self._by = manner.by

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
        ways = [self._way(row, calls, looks, chances) for row in at]
        known = any(called.usd is not None for called, _ in calls)
        usd = sum([step.usd or 0.0 for way in ways for step in way]) if known else None
        return Part([self.group.rows[row] for row in at], self._answer(calls, at), ways, usd, raised)

    def _chances(self, raised: bool) -> Chances:
        wanted, other = 1.0 - self.shares.explore, self.shares.audit + self.shares.explore
        if self.group.choices[0].strong:
            return _chances(self.weak, other, self.strong, wanted, self._by)
        return _chances(self.weak, wanted, self.strong, 1.0 if raised else other, self._by)

    def _way(
        self,
        row: int,
        calls: Sequence[tuple[Called, str]],
        looks: Sequence[Look] | None,
        chances: Chances,
    ) -> Way:
        why, look = self.group.choices[row].why, None if looks is None else looks[row]
        steps = [Step(ROUTER, why + chances.drawn, self.seconds * self.manner.router_usd_per_second, self.seconds)]
        for called, prefix in calls:
            name = called.member.name
            # Whoever was asked after a look at the cheap answer was asked for what was seen there.
            reason = look.why if look is not None and look.why and name == self.strong else why
            steps += _steps(called, f"{prefix}{reason}{chances.of[name]}", row)
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


def _steps(called: Called, because: str, row: int) -> Sequence[Step]:
    """What one call leaves on the way of one of its rows, an even share of what it cost."""
    n, response = len(called.rows), called.response
    steps = shared(called.failures, n)
    if response is None:
        return steps
    place = called.rows.index(row)
    inner = way_within(response, place, n)
    own = own_step(called.member.name, because, inner, called.paid[place], called.seconds / n)
    return [*steps, own, *inner]


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


def merged(request_id: str, parts: Sequence[Part]) -> Response:
    """One answer to all rows, in the order in which they were asked."""
    if len(parts) == 1:
        return undivided(request_id, parts[0].response, parts[0].ways, parts[0].usd, parts[0].response.seconds)
    rows = [row for part in parts for row in part.rows]
    places = [Place(part.response, k) for part in parts for k in range(len(part.rows))]
    ways = [way for part in parts for way in part.ways]
    order = sorted(range(len(rows)), key=rows.__getitem__)
    usd = [part.usd for part in parts]
    known = [one for one in usd if one is not None]
    total = sum(known) if len(known) == len(usd) else None
    seconds = _slowest([part.response.seconds for part in parts])
    return whole(request_id, [places[k] for k in order], [ways[k] for k in order], total, seconds)


def _slowest(parts: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The parts ran beside each other: a stage took what it took in the slowest."""
    stages = dict.fromkeys(name for part in parts for name in part)
    return {name: max(part.get(name, 0.0) for part in parts) for name in stages}
