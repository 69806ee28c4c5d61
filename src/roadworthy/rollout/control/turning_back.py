"""Reads what turned a release back: loads that failed, earlier rollbacks, and what was stable before it."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, func, select

from roadworthy.core.errors import Missing
from roadworthy.registry.releases import Registry
from roadworthy.rollout.rollout_state import RolloutState, all_of
from roadworthy.store.metadata import aliases, events


def loads_failed(connection: Connection, now: RolloutState) -> str:
    """Why a server could not load the candidate since the rollout began; "" where none says so."""
    began = select(func.min(events.c.seq)).where(
        events.c.kind == "rollout",
        events.c.subject == now.deployment,
        events.c.at == now.started_at,
        events.c.data.contains(f'"{now.id}"', autoescape=True),
    )
    failed = select(events.c.data).where(
        events.c.kind == "load_failed",
        events.c.subject == now.deployment,
        events.c.seq > began.scalar_subquery(),
        events.c.data.contains(now.candidate, autoescape=True),
    )
    told = [msgspec.json.decode(text) for text in connection.execute(failed.order_by(events.c.seq)).scalars()]
    errors = [str(data["error"]) for data in told if data["release"] == now.candidate]
    return errors[-1] if errors else ""


def taken_back(connection: Connection, new: RolloutState, registry: Registry) -> str:
    """Why a release that answers as this one was rolled back before; "" where none was.

    Trained again by somebody else, or under another name, it is the same release if it has the same files and plans.
    """
    for past in all_of(connection, new.deployment):
        if past.status == "rolled_back" and (
            past.candidate == new.candidate or _fingerprint_of(past, registry) == new.fingerprint
        ):
            return past.because
    told = select(events.c.data).where(events.c.kind == "rollback", events.c.subject == new.deployment)
    for text in connection.execute(told.order_by(events.c.seq)).scalars():
        data = msgspec.json.decode(text)
        if data["release"] == new.candidate or data["fingerprint"] == new.fingerprint:
            return str(data["because"])
    return ""


def release_before(connection: Connection, deployment: str) -> str | None:
    """What was stable before what is stable now; None where nothing was.

    Whoever goes back twice goes back two releases: one that was itself left by going back is not gone to again.
    """
    moves = select(aliases.c.digest).where(aliases.c.deployment == deployment, aliases.c.alias == "stable")
    path: list[str] = []
    for digest in connection.execute(moves.order_by(aliases.c.seq)).scalars():
        if digest in path:
            del path[path.index(digest) + 1 :]
        elif digest is not None:
            path.append(digest)
    return path[-2] if len(path) > 1 else None


def _fingerprint_of(past: RolloutState, registry: Registry) -> str:
    """That of a rollout which an older version wrote is made from its release."""
    if past.fingerprint:
        return past.fingerprint
    try:
        return registry.get(past.candidate).fingerprint
    except Missing:
        return ""
