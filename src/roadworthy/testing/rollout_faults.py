"""Looks for contradictions between the rollouts, events, aliases and audit log of a deployment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from roadworthy.rollout.rollout_state import RolloutState, all_of
from roadworthy.rollout.traffic import traffic
from roadworthy.store.audit_log import BEGINNING, hash_of
from roadworthy.store.metadata import aliases, audit, events, releases
from roadworthy.store.state import State

ENDS = ("promoted", "rolled_back", "aborted")


def faults(state: State, deployment: str) -> list[str]:
    """What contradicts itself; nothing where all is well. Others may go on writing meanwhile."""
    now = traffic(state, deployment)
    with state.engine.begin() as connection:
        rows = connection.execute(select(events).where(events.c.subject == deployment).order_by(events.c.seq))
        told = [_Told(row) for row in rows if row.kind == "rollout"]
        known = all_of(connection, deployment)
        found = [
            *_rollouts(known, told),
            *_aliases(connection, deployment, told),
            *_audit(connection, deployment, told),
        ]
    tried = {(one.id, release) for one in known for release in (one.candidate, one.control)}
    if now.candidate is not None and (now.salt, now.candidate) not in tried:
        found.append(f"traffic goes to {now.candidate[:12]} by the rollout {now.salt!r}, which nobody knows")
    return found


class _Told:
    """A step as the events have it."""

    def __init__(self, row: Any) -> None:
        data = msgspec.json.decode(row.data)
        self.change: str = data["change"]
        self.state = msgspec.convert(data["rollout"], RolloutState)


def _rollouts(known: list[RolloutState], told: list[_Told]) -> Iterator[str]:
    """Each rollout is what its events say that it became, and each step of it was told once."""
    if sum(one.status == "running" for one in known) > 1:
        yield "two rollouts run at once"
    if {one.id for one in known} != {step.state.id for step in told}:
        yield "a rollout without events, or events without a rollout"
    for one in known:
        steps = [step for step in told if step.state.id == one.id]
        changes = Counter(step.change for step in steps)
        last = steps[-1].state
        if (last.status, last.stage, last.paused_at) != (one.status, one.stage, one.paused_at):
            yield f"rollout {one.id} is {one.status}, {one.stage}, and its events say {last.status}, {last.stage}"
        ends = [step.change for step in steps if step.change in ENDS]
        if ends != ([] if one.status == "running" else [one.status]):
            yield f"rollout {one.id} is {one.status} and ended as {ends}"
        if changes["started"] != 1 or changes["stage"] != one.stage:
            yield f"rollout {one.id} is in stage {one.stage} after {dict(changes)}"
        revisions = [step.state.revision for step in steps]
        if sorted(set(revisions)) != revisions:
            yield f"the steps of rollout {one.id} have the revisions {revisions}"


def _aliases(connection: Connection, deployment: str, told: list[_Told]) -> Iterator[str]:
    """Stable moved when a rollout made or unmade it so, once each, and only ever to registered releases."""
    registered = set(connection.execute(select(releases.c.digest)).scalars())
    chosen = select(aliases).where(aliases.c.deployment == deployment, aliases.c.alias == "stable")
    moves = list(connection.execute(chosen.order_by(aliases.c.seq)))
    for move in moves:
        if move.digest not in registered:
            yield f"stable meant {move.digest!r}, which nobody registered"
    for before, after in pairwise(moves):
        if before.digest == after.digest:
            yield f"stable was moved to {after.digest[:12]}, where it was ({before.why}, then {after.why})"
    made = Counter(move.digest for move in moves if move.why.startswith("rollout "))
    wanted: Counter[str] = Counter()
    for step in told:
        now = step.state
        began_to_hold = step.change == "stage" and now.step.mode == "holdback"
        if began_to_hold or (step.change == "promoted" and now.step.mode != "holdback"):
            wanted[now.candidate] += 1
        if (
            step.change in ("rolled_back", "aborted")
            and now.step.mode == "holdback"
            and "taken back" not in now.because
        ):
            wanted[now.control] += 1
    if made != wanted:
        yield f"rollouts moved stable {dict(made)}, and their events say {dict(wanted)}"


def _audit(connection: Connection, deployment: str, told: list[_Told]) -> Iterator[str]:
    """The audit log has each step once, and its chain is whole."""
    previous, deeds = BEGINNING, []
    for row in connection.execute(select(audit).order_by(audit.c.seq)):
        if row.previous != previous or row.hash != hash_of(row.at, row.by, row.action, row.subject, row.data, previous):
            yield f"entry {row.seq} of the audit log is not chained to the one before"
        previous = row.hash
        if row.subject.startswith(f"{deployment}/") and row.action.startswith("rollout "):
            deeds.append((row.subject.partition("/")[2], row.action.removeprefix("rollout ").replace(" ", "_")))
    steps = [(step.state.id, step.change) for step in told]
    if deeds != steps:
        yield f"the audit log has the steps {deeds}, and the events {steps}"
