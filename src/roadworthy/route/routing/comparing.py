"""A seeded share of the requests also asks the model that was not wanted, within a budget."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from roadworthy.core.wire import Request
from roadworthy.route.answering.budget import Budget
from roadworthy.route.answering.member import Member
from roadworthy.route.routing.choosing import Choice


class Shares(NamedTuple):
    """How likely a request is to be asked of both models (`audit`), or of the other one only (`explore`)."""

    audit: float
    explore: float
    usd: float = 0.0  # what is to be reserved for it


NEVER = Shares(0.0, 0.0)


class Comparing:
    """Draws by a hash of `salt` and the request's id: no table is kept, and a request asked twice is drawn alike."""

    def __init__(self, audit: float, explore: float, salt: str, budget: Budget) -> None:
        self.audit, self.explore, self.budget = audit, explore, budget
        self._salt = f"{salt}\0".encode()
        self._on = audit + explore > 0

    def shares(self, request: Request, other: Member, choice: Choice, must_see_both: bool) -> Shares:
        """The chances of this request, known before anything is drawn: none where the budget has no room for it.

        A look at the cheap answer decides about the dear one, and what would have been seen must be known: under
        `must_see_both` whoever would be asked alone is asked beside.
        """
        if not (self._on and choice.audited) or request.shadow:
            return NEVER
        usd = None if other.worst_usd is None else other.worst_usd * request.n
        if usd is None or not self.budget.allows(usd):
            return NEVER
        explore = self.explore if choice.free else 0.0
        if must_see_both:
            return Shares(self.audit + explore, 0.0, usd)
        return Shares(self.audit, explore, usd)

    def draw(self, request: Request) -> float:
        """Where the request stands, uniform in [0, 1)."""
        digest = blake2b(self._salt + request.id.encode(), digest_size=6).digest()
        return int.from_bytes(digest) / 2**48
