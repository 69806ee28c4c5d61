"""Which of two models is wanted for a row before any chance is drawn, and why."""

from __future__ import annotations

from dataclasses import dataclass

from roadworthy.core.wire import Request
from roadworthy.route.answering.member import Member
from roadworthy.route.routing.contract import Gain, GainRouter
from roadworthy.route.routing.sessions import Session, Sessions


class Choice:
    """One row's decision. `free` rows may be drawn to be explored, `audited` ones to ask both.

    `wanted` is what the router wanted, where a session stays elsewhere.
    """

    __slots__ = ("audited", "free", "strong", "wanted", "why")

    def __init__(
        self, strong: bool, why: str, free: bool = True, wanted: bool | None = None, audited: bool | None = None
    ) -> None:
        self.strong, self.why, self.free = strong, why, free
        self.audited = free if audited is None else audited
        self.wanted = strong if wanted is None else wanted

    def __repr__(self) -> str:
        return f"Choice({'strong' if self.strong else 'weak'}, {self.why!r}, free={self.free})"


@dataclass(frozen=True)
class Worth:
    """What gain a second and a US dollar are worth, beyond what the thresholds were fitted with.

    The bar for the dearer model is the router's threshold, `per_second` times the seconds by which it is slower now
    than the `usual_seconds` by which it was then, and `per_usd` times the same of its price for a row.
    """

    per_second: float = 0.0
    per_usd: float = 0.0
    usual_seconds: float = 0.0
    usual_usd: float = 0.0

    def raises(self, weak: Member, strong: Member) -> float:
        """By how much the bar is to be raised at this moment."""
        raised = 0.0
        if self.per_second:
            raised += self.per_second * (strong.seconds - weak.seconds - self.usual_seconds)
        if self.per_usd:
            raised += self.per_usd * ((strong.usd or 0.0) - (weak.usd or 0.0) - self.usual_usd)
        return raised


class Chooser:
    """Wants the weak or the strong member for a request of one row.

    With `weak_first` the router only says what is odd: it sees each request of the stream that it watches, whatever
    becomes of it later, and what it expects is asked once the weak member has answered.
    """

    def __init__(
        self,
        weak: Member,
        strong: Member,
        router: GainRouter | None,
        sessions: Sessions,
        worth: Worth,
        weak_first: bool = False,
    ) -> None:
        self.weak, self.strong, self.router, self.sessions, self.worth = weak, strong, router, sessions, worth
        self._weak_first = weak_first
        self._moves = bool(worth.per_second or worth.per_usd)

    def __call__(self, request: Request, session: Session | None) -> Choice:
        """The choice for one row: who rests, what the router expects, where the session stays."""
        choice = self._by_health() or self._by_router(request)
        stays = None if session is None or not choice.free else self.sessions.stays(session)
        if stays is None:
            return choice
        strong, why = stays
        return Choice(strong, f"{why} ({choice.why})", free=False, wanted=choice.strong)

    def _by_health(self) -> Choice | None:
        no_weak, no_strong = self.weak.why_not, self.strong.why_not
        if no_strong and not no_weak:
            return Choice(False, f"{no_strong}: {self.weak.name} answers", free=False)
        if no_weak and not no_strong:
            return Choice(True, f"{no_weak}: {self.strong.name} answers", free=False)
        return None

    def _by_router(self, request: Request) -> Choice:
        found = None if self.router is None else self.router.gain(request)
        if found is not None and found.odd:
            why = found.because or "unlike what the router was fitted on"
            # The strong one answers, whatever is drawn; what the weak one would have said is how a router learns anew.
            return Choice(True, f"{why}: {self.strong.name} answers", free=False, audited=True)
        if found is None or self._weak_first:
            return Choice(False, f"{self.weak.name} answers first")
        return self._by_gain(found)

    def _by_gain(self, found: Gain) -> Choice:
        raised = self.worth.raises(self.weak, self.strong) if self._moves else 0.0
        strong = found.gain >= found.threshold + raised
        said = f"gain {found.gain:.4g} {'reaches' if strong else 'below'} {found.threshold + raised:.4g}"
        if raised:
            said += f" (threshold {found.threshold:.4g} moved by load and price)"
        return Choice(strong, f"{said} (segment {found.segment})" if found.segment else said)
