"""One member asked, tries and all: what it answered or why it did not, and what that cost."""

from __future__ import annotations

from collections.abc import Sequence

from roadworthy.core.charges import FAILED
from roadworthy.core.errors import Late
from roadworthy.core.wire import Request, Response, Step
from roadworthy.route.answering.member import THEIRS, Member, reason


class Called:
    """A member's answer about some rows, or what it raised last; `failures` are the calls that gave none.

    `paid` is what each row of the answer cost, and `usd` what all of it did.
    """

    __slots__ = ("failures", "member", "paid", "response", "rows", "seconds", "usd", "wrong")

    def __init__(self, member: Member, rows: Sequence[int]) -> None:
        self.member, self.rows = member, rows
        self.response: Response | None = None
        self.wrong: Exception | None = None
        self.failures: list[Step] = []
        self.usd: float | None = None
        self.paid: Sequence[float | None] = ()
        self.seconds = 0.0

    @property
    def all_usd(self) -> float:
        """What the answer and the failures before it cost, as far as anybody knows."""
        return (self.usd or 0.0) + sum(step.usd or 0.0 for step in self.failures)


async def call(
    member: Member,
    request: Request,
    rows: Sequence[int],
    tries: int,
    failed_share: float,
    until: float | None = None,
) -> Called:
    """Ask a member up to `tries` times. Raises at once what is the caller's own mistake, and never what is ours.

    A call that failed is billed `failed_share` of what a row costs of late. `rows` says which ones the request holds.
    Nobody waits for it beyond `until`.
    """
    called = Called(member, rows)
    for _ in range(tries):
        found, seconds = await member.ask(request, until)
        if not isinstance(found, Exception):
            called.response, called.wrong, called.seconds = found, None, seconds
            called.usd, called.paid = member.bill(found, len(rows)), member.costs(found, len(rows))
            break
        if isinstance(found, THEIRS):
            raise found
        called.wrong = found
        usd = None if member.usd is None else member.usd * len(rows) * failed_share
        called.failures.append(Step(member.name, f"{FAILED}{reason(found)}", usd, seconds))
        if member.too_late(request) or (until is not None and isinstance(found, Late)):
            break
    return called
