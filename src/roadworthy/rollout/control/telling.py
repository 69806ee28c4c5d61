"""Tells somebody of each incident that was written, and again at the next look where that failed."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec
from sqlalchemy import func, select

from roadworthy.registry.home import writing
from roadworthy.rollout.control.incident import Incident, read_incident
from roadworthy.store.events import put_event
from roadworthy.store.metadata import events
from roadworthy.store.state import State

log = logging.getLogger(__name__)


def nobody(_: Incident) -> None:
    """Nobody wants to hear of incidents."""


class Telling:
    """Remembers what was told in the events, so that a restart loses nothing. Who hears of one twice knows its id."""

    def __init__(self, state: State, tell: Callable[[Incident], object]) -> None:
        self._state = state
        self._tell = tell
        self._told_until: dict[str, int] = {}
        self._behind: set[str] = set()

    def behind(self, deployment: str) -> bool:
        """Whether there is an incident that somebody could not be told of."""
        return deployment in self._behind

    def tell(self, deployment: str) -> None:
        """Tell of every incident that nobody was told of. A failure is logged, and tried again at the next look."""
        if self._tell is nobody:
            return
        newest = self._newest(deployment)
        if newest <= self._told_until.get(deployment, 0):
            return
        # Every one is tried, also after one that failed.
        told = [self._tell_one(incident) for incident in self._untold(deployment)]
        self._behind.discard(deployment)
        if all(told):
            self._told_until[deployment] = newest
        else:
            self._behind.add(deployment)

    def incidents(self, deployment: str) -> list[Incident]:
        """Every incident, oldest first."""
        return [read_incident(data) for data in self._read("incident", deployment)]

    def _untold(self, deployment: str) -> list[Incident]:
        told = {data["id"] for data in self._read("incident_told", deployment)}
        return [incident for incident in self.incidents(deployment) if incident.id not in told]

    def _tell_one(self, incident: Incident) -> bool:
        try:
            self._tell(incident)
        except Exception:
            log.exception("nobody could be told of incident %s of %r", incident.id, incident.deployment)
            return False
        with writing(self._state) as connection:
            put_event(connection, incident.at, "incident_told", incident.deployment, {"id": incident.id})
        return True

    def _newest(self, deployment: str) -> int:
        newest = select(func.max(events.c.seq)).where(events.c.kind == "incident", events.c.subject == deployment)
        with self._state.engine.execution_options(reading=True).connect() as connection:
            return int(connection.execute(newest).scalar() or 0)

    def _read(self, kind: str, deployment: str) -> list[dict[str, object]]:
        chosen = select(events.c.data).where(events.c.kind == kind, events.c.subject == deployment)
        with self._state.engine.execution_options(reading=True).connect() as connection:
            return [msgspec.json.decode(text) for text in connection.execute(chosen.order_by(events.c.seq)).scalars()]
