"""Writes the steps of rollouts: state, event, alias, audit entry and incident together, or nothing of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, insert, select, update

from roadworthy.core.errors import Denied, Missing
from roadworthy.core.window import Window
from roadworthy.registry.home import writing
from roadworthy.registry.releases import Registry
from roadworthy.rollout.control.incident import Incident, incident_of, moment_of
from roadworthy.rollout.rollout_state import RolloutState, decode, encode, running_of
from roadworthy.rollout.traffic import stable_of
from roadworthy.store.events import put_event
from roadworthy.store.leases import Lease, stands
from roadworthy.store.metadata import events, rollouts
from roadworthy.store.state import State

# What a step is called in the events; "" where nothing changed but what the gates say.
Change = Literal[
    "", "running", "promoted", "rolled_back", "aborted", "stage", "paused", "resumed", "not_judged", "judged_again"
]


class Steps(NamedTuple):
    """What a step is written with."""

    state: State
    registry: Registry

    def begin(self, connection: Connection, new: RolloutState, at: float) -> None:
        """Write a new rollout, in the transaction that found nothing against it."""
        row = insert(rollouts).values(id=new.id, deployment=new.deployment, status=new.status)
        connection.execute(row.values(state=encode(new), updated_at=at))
        self._tell(connection, new, "started", at, new.by)

    def step(
        self, old: RolloutState, new: RolloutState, at: float, lease: Lease, candidate: Window | None = None
    ) -> RolloutState | None:
        """The step of a controller, as it was written; None where another one was faster, or took the lease over.

        `candidate` are the candidate's rows, for the incident that a step may be.
        """
        with writing(self.state) as connection:
            text = connection.execute(select(rollouts.c.state).where(rollouts.c.id == old.id)).scalar_one()
            if not stands(connection, lease) or decode(text).revision != old.revision:
                return None
            try:
                return self._write(connection, old, new, at, "controller", candidate)
            except Denied as refusal:  # nothing is written before the alias moves
                held = replace(new, status=old.status, stage=old.stage, stage_since=old.stage_since, begun=old.begun)
                held = replace(held, paused_seconds=old.paused_seconds, because=f"it passes, but {refusal}")
                return self._write(connection, old, held, at, "controller", candidate)

    def by_hand(
        self, deployment: str, make: Callable[[RolloutState], RolloutState], at: float, by: str
    ) -> RolloutState:
        """A step of a person, who waits for no lease: what a controller found meanwhile is void. Raises Missing."""
        with writing(self.state) as connection:
            old = running_of(connection, deployment)
            if old is None:
                raise Missing(f"no rollout of {deployment!r} is running; `roadworthy rollout status` tells of the last")
            if at < old.stage_since:
                raise ValueError(f"`at` must not lie before the stage began ({old.stage_since!r}), got {at!r}")
            new = make(old)
            return old if new == old else self._write(connection, old, new, at, by)

    def revert(
        self, connection: Connection, incident: Incident, fingerprint: str, running: RolloutState | None
    ) -> None:
        """Write that stable goes back to what it was; a rollout that was compared with it ends."""
        at, by, deployment = incident.at, incident.by, incident.deployment
        if running is not None:
            why = f"stable was taken back: {incident.because}"
            ended = replace(running, status="aborted", because=why, revision=running.revision + 1)
            self._put(connection, ended, at)
            self._tell(connection, ended, "aborted", at, by)
        self.registry.moved(connection, deployment, "stable", incident.control, at, by, incident.because)
        told = {"release": incident.candidate, "back_to": incident.control, "by": by, "because": incident.because}
        put_event(connection, at, "rollback", deployment, {**told, "fingerprint": fingerprint})
        self.state.audited(connection, at, by, "stable taken back", deployment, told)
        put_event(connection, at, "incident", deployment, msgspec.to_builtins(incident))

    def _write(
        self,
        connection: Connection,
        old: RolloutState,
        new: RolloutState,
        at: float,
        by: str,
        candidate: Window | None = None,
    ) -> RolloutState:
        stable = stable_of(connection, old.deployment)
        if stable != old.expected_stable:
            why = f"stable is no longer {old.expected_stable[:12]}, which belongs to this rollout"
            new = replace(old, status="aborted", because=why)
        elif (wanted := _stable_after(old, new)) != stable:
            passed = new.id if by == "controller" else ""
            why = f"rollout {new.id}: {new.because}"
            self.registry.moved(connection, new.deployment, "stable", wanted, at, by, why, rollout=passed)
        new = replace(new, revision=old.revision + 1)
        self._put(connection, new, at)
        change = change_of(old, new)
        if change:
            self._tell(connection, new, change, at, by)
        if change == "rolled_back" or change == "not_judged":
            incident = incident_of(new, change, at, by, candidate)
            put_event(connection, at, "incident", new.deployment, _with_timeline(connection, incident, new))
        return new

    def _put(self, connection: Connection, new: RolloutState, at: float) -> None:
        row = update(rollouts).where(rollouts.c.id == new.id)
        connection.execute(row.values(status=new.status, state=encode(new), updated_at=at))

    def _tell(self, connection: Connection, new: RolloutState, change: str, at: float, by: str) -> None:
        data = {"change": change, "by": by, "rollout": msgspec.to_builtins(new)}
        put_event(connection, at, "rollout", new.deployment, data)
        told = {"candidate": new.candidate, "control": new.control, "stage": new.stage, "because": new.because}
        action = f"rollout {change.replace('_', ' ')}"
        subject = f"{new.deployment}/{new.id}"
        self.state.audited(connection, at, by, action, subject, {**told, "hierarchy": new.hierarchy})


def change_of(old: RolloutState, new: RolloutState) -> Change:
    """What a step is called."""
    if new.status != old.status:
        return new.status
    if new.stage != old.stage:
        return "stage"
    if (new.paused_at is None) != (old.paused_at is None):
        return "resumed" if new.paused_at is None else "paused"
    if bool(new.problem) != bool(old.problem):
        return "not_judged" if new.problem else "judged_again"
    return ""


def _stable_after(old: RolloutState, new: RolloutState) -> str:
    """The release that the alias `stable` means after a step."""
    if new.status == "promoted":
        return new.candidate
    if new.status in ("rolled_back", "aborted"):
        return old.control
    return new.expected_stable


def _with_timeline(connection: Connection, incident: Incident, now: RolloutState) -> Any:
    """The incident as data, with every step of its rollout."""
    told = select(events.c.at, events.c.data).where(events.c.kind == "rollout", events.c.subject == now.deployment)
    told = told.where(events.c.at >= now.started_at).order_by(events.c.seq)
    steps = [(row.at, msgspec.json.decode(row.data)) for row in connection.execute(told)]
    timeline = tuple(moment_of(at, data) for at, data in steps if data["rollout"]["id"] == now.id)
    return msgspec.to_builtins(replace(incident, timeline=timeline))
