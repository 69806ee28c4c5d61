"""Silences: alarms that match one are kept and marked, and told to nobody, until a time and for a reason."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec import Struct
from sqlalchemy import insert, select, update

from roadworthy.core.errors import Missing, SpecError
from roadworthy.observe.alert import Alert
from roadworthy.store.state import State


class Silence(Struct, frozen=True):
    """Who wanted quiet of what, until when and why. `matcher` is as `rule=seasonal-*,tenant=acme`."""

    seq: int
    matcher: str
    at: float
    until: float
    by: str
    why: str

    def __str__(self) -> str:
        return f"silence {self.seq} on {self.matcher} by {self.by}: {self.why}"


def silence(state: State, matcher: str, now: float, until: float, by: str, why: str) -> Silence:
    """Keep quiet what matches, from now on. Raises SpecError for a matcher, time or reason that will not do.

    A matcher is `name=pattern,...`: `deployment`, `rule` (or `detector`), `severity`, or a tag; `*` stands for
    anything. All of it must match.
    """
    _parts(matcher)
    if until <= now:
        raise SpecError(f"a silence must end after it begins: {until!r} is not after {now!r}")
    if not why.strip() or not by.strip():
        raise SpecError("a silence needs `by` and `why`: whoever is on call must be able to ask")
    table = state.tables["silences"]
    given = {"matcher": matcher, "at": now, "until": until, "by": by, "why": why}
    with state.engine.begin() as connection:
        seq = connection.execute(insert(table).values(given).returning(table.c.seq)).scalar_one()
    return Silence(int(seq), matcher, now, until, by, why)


def silences(state: State, now: float | None = None) -> list[Silence]:
    """All silences, oldest first; those that hold at `now`, where that is given."""
    table = state.tables["silences"]
    chosen = select(table).order_by(table.c.seq)
    if now is not None:
        chosen = chosen.where(table.c.at <= now, table.c.until > now)
    with state.engine.execution_options(reading=True).connect() as connection:
        return [Silence(*row) for row in connection.execute(chosen)]


def lift(state: State, seq: int, now: float) -> None:
    """End a silence now. Raises Missing where there is none of this number that still holds."""
    table = state.tables["silences"]
    ended = update(table).where(table.c.seq == seq, table.c.until > now).values(until=now)
    with state.engine.begin() as connection:
        if not connection.execute(ended).rowcount:
            raise Missing(f"no silence {seq!r} holds now: `roadworthy alerts` lists those that do")


def silenced_by(alert: Alert, held: Sequence[Silence]) -> int:
    """The number of the first silence that the alert matches, 0 where none does."""
    return next((each.seq for each in held if matches(each.matcher, alert)), 0)


def matches(matcher: str, alert: Alert) -> bool:
    """Whether every part of a matcher fits the alert."""
    tag, _, value = alert.where.partition("=")
    facts = {"deployment": alert.deployment, "rule": alert.detector, "severity": alert.severity}
    facts |= {"detector": alert.detector} | ({tag: value} if tag else {})
    return all(name in facts and fnmatchcase(facts[name], pattern) for name, pattern in _parts(matcher))


def _parts(matcher: str) -> list[tuple[str, str]]:
    parts = [part.partition("=") for part in matcher.split(",")]
    if not all(name.strip() and equals and pattern.strip() for name, equals, pattern in parts):
        raise SpecError(f"a matcher is `name=pattern`, several with a comma, as `rule=seasonal-*`; got {matcher!r}")
    return [(name.strip(), pattern.strip()) for name, _, pattern in parts]
