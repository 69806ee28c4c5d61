"""Routing is the Handler that asks one of two models, or both, and writes down why and at what chances."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from roadworthy.core.charges import COMPARISON, EXPLORED, FAILED
from roadworthy.core.measure import Measurement
from roadworthy.core.rows import asking
from roadworthy.core.wire import Request, Response, Step
from roadworthy.route.answering.budget import Budget
from roadworthy.route.answering.member import Member
from roadworthy.route.routing.beside import Beside
from roadworthy.route.routing.called import Called, call
from roadworthy.route.routing.choosing import Choice, Chooser
from roadworthy.route.routing.comparing import Comparing
from roadworthy.route.routing.looking import After, Look
from roadworthy.route.routing.ways import Group, Manner, Part, Ways, merged


class Routing:
    """A Handler over a weak and a strong member. State (load, prices, sessions, spending) lives in the instance."""

    def __init__(
        self,
        chooser: Chooser,
        comparing: Comparing,
        after: After | None,
        manner: Manner,
        now: Callable[[], float],
    ) -> None:
        self.chooser, self.comparing, self.after, self.manner = chooser, comparing, after, manner
        self.weak, self.strong = chooser.weak, chooser.strong
        self._now = now

    def __repr__(self) -> str:
        return f"Routing({self.weak!r}, {self.strong!r}, router={self.manner.router or None})"

    @property
    def granting(self) -> Budget:
        """The budget of comparisons, which the processes of a deployment share."""
        return self.comparing.budget

    def measurements(self) -> tuple[Measurement, ...]:
        """What the router measured of its stream, where it watches it."""
        measured = getattr(self.chooser.router, "measurements", None)
        found: tuple[Measurement, ...] = () if measured is None else measured()
        return found

    async def __call__(self, request: Request) -> Response:
        """The answer of one member, or of both where rows part. Raises what the last member that was asked raised."""
        now, n = self._now, request.n
        if not n:
            return await self.strong.handler(request)
        started = now()
        session = self.chooser.sessions.of(request.key, started)
        if n == 1:
            choices = [self.chooser(request, session)]
        else:
            choices = [self.chooser(asking(request, [row]), session) for row in range(n)]
        parts = await self._all(request, _alike(choices), (now() - started) / n)
        if session is not None and not request.shadow:
            wanted = any(choice.wanted for choice in choices) or any(part.raised for part in parts)
            self.chooser.sessions.note(session, wanted)
        return merged(request.id, parts)

    async def _all(self, request: Request, groups: Sequence[Group], seconds: float) -> list[Part]:
        """Every group of rows at once."""
        first, rest = groups[0], groups[1:]
        if not rest:
            return await self._asked(request, first, seconds)
        parts: list[Part] = []
        for found in await Beside(self._asked(request, first, seconds), self._all(request, rest, seconds)):
            if isinstance(found, BaseException):
                raise found
            parts += found or []
        return parts

    async def _asked(self, request: Request, group: Group, seconds: float) -> list[Part]:
        """Some rows for which the same was chosen: by the member that is wanted, or by what was drawn."""
        part = request if len(group.rows) == request.n else asking(request, group.rows)
        choice = group.choices[0]
        strong, other = choice.strong, self.weak if choice.strong else self.strong
        shares = self.comparing.shares(part, other, choice, self.after is not None and not strong)
        ways = Ways(self.weak.name, self.strong.name, self.manner, group, shares, seconds)
        drawn = self.comparing.draw(request) if shares.audit or shares.explore else 1.0
        if drawn < shares.audit + shares.explore:
            return await self._compared(part, ways, other, explored=drawn >= shares.audit)
        return await (self._strong(part, ways) if strong else self._weak(part, ways))

    async def _compared(self, request: Request, ways: Ways, other: Member, explored: bool) -> list[Part]:
        """Rows drawn for a comparison, which is paid out of the budget whatever becomes of it."""
        reserved = spent = ways.shares.usd
        self.granting.reserve(reserved)
        try:
            if explored:
                found, spent = await self._explored(request, ways, other)
            elif other is self.weak:
                found, spent = await self._strong_audit(request, ways)
            else:
                found, spent = await self._weak_audit(request, ways)
        finally:
            self.granting.settle(reserved, spent)
        return found

    async def _strong(self, request: Request, ways: Ways) -> list[Part]:
        asked = await self._call(self.strong, request)
        if asked.response is None:
            return await self._stand_in(request, ways, asked, self.weak)
        return [ways.part([(asked, "")])]

    async def _weak(self, request: Request, ways: Ways) -> list[Part]:
        asked = await self._call(self.weak, request)
        if asked.response is None:
            return await self._stand_in(request, ways, asked, self.strong)
        if self.after is None:
            return [ways.part([(asked, "")])]
        looks = await self.after(request, asked.response)
        high, low = _sorted(looks)
        parts = [ways.part([(asked, "")], looks, high)] if high else []
        if low:
            parts.append(await self._raised(request, ways, asked, looks, low))
        return parts

    async def _raised(
        self, request: Request, ways: Ways, tried: Called, looks: Sequence[Look], low: Sequence[int]
    ) -> Part:
        """The rows whose cheap answer was not good enough; it goes out where the other one would come too late."""
        asked = await self._call(self.strong, request, low, self.strong.in_time(request))
        if asked.response is None:
            return ways.part([(asked, ""), (tried, _instead(asked))], looks, low)
        return ways.part([(tried, ""), (asked, "")], looks, low, raised=True)

    async def _weak_audit(self, request: Request, ways: Ways) -> tuple[list[Part], float]:
        """Both are asked, and the strong one's answer goes out; what it cost counts as a comparison."""
        strong, weak = await self._both(self.strong, self.weak, request, patient=True)
        assert weak is not None
        if weak.response is None and strong.response is None:
            raise _first_wrong(strong, weak)
        if strong.response is None:
            return [ways.part([(strong, ""), (weak, "")])], strong.all_usd
        if weak.response is None:
            return [ways.part([(weak, ""), (strong, _instead(weak))], raised=True)], 0.0
        if self.after is None:
            return [ways.part([(weak, ""), (strong, COMPARISON)])], strong.all_usd
        looks = await self.after(request, weak.response)
        high, low = _sorted(looks)
        parts = [ways.part([(weak, ""), (strong, COMPARISON)], looks, high)] if high else []
        parts += [ways.part([(weak, ""), (strong, "")], looks, low, raised=True)] if low else []
        return parts, strong.all_usd * len(high) / len(looks)

    async def _strong_audit(self, request: Request, ways: Ways) -> tuple[list[Part], float]:
        """The strong one answers, and nobody waits for what the weak one would have said beyond that."""
        strong, weak = await self._both(self.strong, self.weak, request, patient=False)
        compared = _too_late(self.weak, request, ways.shares.usd) if weak is None else weak
        if strong.response is None:
            if weak is None:
                return await self._stand_in(request, ways, strong, self.weak), compared.all_usd
            if weak.response is None:
                raise _first_wrong(strong, weak)
            return [ways.part([(strong, ""), (weak, _instead(strong))])], 0.0
        return [ways.part([(strong, ""), (compared, COMPARISON)])], compared.all_usd

    async def _explored(self, request: Request, ways: Ways, other: Member) -> tuple[list[Part], float]:
        """The member that was not wanted answers alone."""
        asked = await self._call(other, request)
        if asked.response is None:
            wanted = self.weak if other is self.strong else self.strong
            return await self._stand_in(request, ways, asked, wanted), asked.all_usd
        return [ways.part([(asked, EXPLORED)])], asked.all_usd

    async def _stand_in(self, request: Request, ways: Ways, failed: Called, other: Member) -> list[Part]:
        """The other member, where the one that was chosen gave no answer. Raises where that gives none either."""
        if failed.member.too_late(request):
            raise _first_wrong(failed)
        asked = await self._call(other, request)
        if asked.response is None:
            raise _first_wrong(failed, asked)
        raised = other is self.strong
        return [ways.part([(failed, ""), (asked, _instead(failed))], raised=raised)]

    async def _both(
        self, first: Member, second: Member, request: Request, patient: bool
    ) -> tuple[Called, Called | None]:
        one, other = await Beside(self._call(first, request), self._call(second, request), patient)
        for found in (one, other):
            if isinstance(found, BaseException):
                raise found
        assert isinstance(one, Called)
        assert not isinstance(other, BaseException)
        return one, other

    async def _call(
        self, member: Member, request: Request, rows: Sequence[int] | None = None, until: float | None = None
    ) -> Called:
        """Ask a member about all rows, or some."""
        n = request.n
        at: Sequence[int] = range(n) if rows is None else rows
        part = request if len(at) == n else asking(request, at)
        return await call(member, part, at, self.manner.tries, self.manner.failed_share, until)


def _alike(choices: Sequence[Choice]) -> list[Group]:
    if len(choices) == 1:
        return [Group((0,), choices)]
    kinds: dict[tuple[bool, bool, bool], list[int]] = {}
    for row, choice in enumerate(choices):
        kinds.setdefault((choice.strong, choice.free, choice.audited), []).append(row)
    return [Group(rows, [choices[row] for row in rows]) for rows in kinds.values()]


def _sorted(looks: Sequence[Look]) -> tuple[list[int], list[int]]:
    """The rows whose cheap answer is good enough, and the others."""
    return [k for k, look in enumerate(looks) if look.good], [k for k, look in enumerate(looks) if not look.good]


def _instead(failed: Called) -> str:
    """What the call is to be called that is made because this one failed."""
    return f"{failed.member.name} {FAILED}"


def _first_wrong(*called: Called) -> Exception:
    """What the member that was asked first raised; it is the one that was wanted."""
    return next(one.wrong for one in called if one.wrong is not None)


def _too_late(member: Member, request: Request, usd: float) -> Called:
    """A comparison that was given up when the answer was there: paid for all the same, as far as anybody knows."""
    called = Called(member, range(request.n))
    called.failures.append(Step(member.name, f"{FAILED}too late to be compared", usd))
    return called
