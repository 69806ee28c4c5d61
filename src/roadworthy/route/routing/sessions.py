"""Sessions keep a caller on one model: at most so many of them, the longest silent forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

Stickiness = Literal["no", "latch", "session"]


class Session:
    """Where one caller stands: how often the dearer model was wanted, and whether it is to stay there."""

    __slots__ = ("escalations", "latched", "seen", "started_strong")

    def __init__(self, now: float) -> None:
        self.escalations = 0
        self.latched = False
        self.started_strong: bool | None = None
        self.seen = now


class Sessions:
    """The sessions by key. A session that was silent for `idle_seconds` starts anew.

    After `latch_after` requests for which the dearer model was wanted a session stays with it ("latch"); under
    "session" it stays where its first request was answered until then. `latch_after` 0 never latches.
    """

    def __init__(self, kind: Stickiness, latch_after: int, most: int, idle_seconds: float) -> None:
        self.kind, self.latch_after, self.most, self.idle_seconds = kind, latch_after, most, idle_seconds
        self._by_key: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_key)

    def of(self, key: str, now: float) -> Session | None:
        """The caller's session, made where there is none; None for callers without a key, or where nothing sticks."""
        if self.kind == "no" or not key:
            return None
        session = self._by_key.get(key)
        if session is None or now - session.seen > self.idle_seconds:
            session = self._by_key[key] = Session(now)
        session.seen = now
        self._by_key.move_to_end(key)
        if len(self._by_key) > self.most:
            self._by_key.popitem(last=False)
        return session

    def stays(self, session: Session) -> tuple[bool, str] | None:
        """Where the session stays whatever the router would say: (dearer model?, why); None where it is free."""
        if session.latched:
            return True, f"the session wanted the dearer model {session.escalations} times and stays there"
        if self.kind == "session" and session.started_strong is not None:
            return session.started_strong, "the session stays where it began"
        return None

    def note(self, session: Session, wanted_strong: bool) -> None:
        """A request of the session was decided; this is what was wanted for it, before any chance was drawn."""
        if session.started_strong is None:
            session.started_strong = wanted_strong
        if wanted_strong:
            session.escalations += 1
            session.latched = bool(self.latch_after) and session.escalations >= self.latch_after
