"""The dials of a deployment's releases: where each stood and when, as events that are only ever added to."""

from __future__ import annotations

import msgspec
from sqlalchemy import Engine, func, select

from roadworthy.core.dials import Dial
from roadworthy.store.events import read_events, write_event
from roadworthy.store.metadata import events

KIND = "dial"


def put_dial(engine: Engine, deployment: str, release: str, dial: Dial) -> None:
    """Note where a dial stands from now on; `release` is a digest."""
    write_event(engine, dial.at, KIND, _subject(deployment, release, dial.name), msgspec.to_builtins(dial))


def newest_dials(engine: Engine, deployment: str, release: str) -> dict[str, Dial]:
    """Where each dial of a release stands, by name; what a server turns its handlers to when it starts."""
    prefix = events.c.subject.startswith(_subject(deployment, release, ""), autoescape=True)
    last = select(func.max(events.c.seq)).where(events.c.kind == KIND, prefix).group_by(events.c.subject)
    with engine.execution_options(reading=True).connect() as connection:
        written = connection.execute(select(events.c.data).where(events.c.seq.in_(last))).scalars().all()
    dials = [msgspec.json.decode(data, type=Dial) for data in written]
    return {dial.name: dial for dial in sorted(dials, key=lambda dial: dial.name)}


def dial_history(
    engine: Engine, deployment: str, release: str, name: str, since: float | None = None, until: float | None = None
) -> list[Dial]:
    """Where one dial stood with `since` <= at < `until`, in the order in which it was turned."""
    found = read_events(engine, KIND, _subject(deployment, release, name), since, until)
    return [msgspec.convert(event.data, Dial) for event in found]


def _subject(deployment: str, release: str, name: str) -> str:
    """Not the deployment alone: its own history is read often, and must not carry every turn of a dial."""
    return f"{deployment}@{release}:{name}"
