"""What is known of a rollout, and which share of the traffic follows from it. It decides nothing."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from roadworthy.core.errors import Missing
from roadworthy.core.measure import Verdict
from roadworthy.core.spec import Rollout, Stage
from roadworthy.store.metadata import aliases, rollouts
from roadworthy.store.state import State

Status = Literal["running", "promoted", "rolled_back", "aborted"]


class Traffic(Struct, frozen=True):
    """Which release answers (`stable`), which is tried, and how: a shadow answers nobody, a canary `share` of the keys.

    `candidate` is None while no rollout runs. `salt` keeps a key on its arm for the length of one rollout.
    """

    stable: str
    candidate: str | None = None
    mode: Literal["stable", "shadow", "canary", "ab", "holdback"] = "stable"
    share: float = 0.0
    salt: str = ""


class RolloutState(Struct, frozen=True, omit_defaults=True):
    """All that is known of a rollout: who is tried against whom, the stage it is in since when, and the last verdicts.

    `candidate` and `control` are release digests, times are Unix seconds, `stage` counts from 0. `touched` counts the
    requests that the candidate has answered for users.
    """

    id: str
    deployment: str
    candidate: str
    control: str
    plan: Rollout
    started_at: float
    stage_since: float
    by: str
    stage: int = 0
    status: Status = "running"
    verdicts: tuple[Verdict, ...] = ()
    because: str = ""
    touched: int = 0

    @property
    def step(self) -> Stage:
        """The stage that it is in, or ended in."""
        return self.plan.stages[self.stage]


def traffic(state: State, deployment: str) -> Traffic:
    """Who answers now. Two indexed rows: cheap enough to ask every second. Raises Missing without a stable release."""
    with state.engine.execution_options(reading=True).connect() as connection:
        stable = stable_of(connection, deployment)
        running = running_of(connection, deployment)
    if stable is None:
        raise Missing(
            f"deployment {deployment!r} has no stable release; make one with `roadworthy release`, then serve it"
        )
    if running is None or running.control != stable:
        return Traffic(stable)
    return Traffic(stable, running.candidate, running.step.mode, running.step.share, running.id)


def stable_of(connection: Connection, deployment: str) -> str | None:
    """The digest behind the alias `stable`."""
    named = (aliases.c.deployment == deployment) & (aliases.c.alias == "stable")
    return connection.execute(select(aliases.c.digest).where(named).order_by(aliases.c.seq.desc()).limit(1)).scalar()


def running_of(connection: Connection, deployment: str) -> RolloutState | None:
    """The rollout that is under way, of which there is at most one."""
    found = select(rollouts.c.state).where(rollouts.c.deployment == deployment, rollouts.c.status == "running")
    text = connection.execute(found).scalars().first()
    return None if text is None else decode(text)


def all_of(connection: Connection, deployment: str) -> list[RolloutState]:
    """Every rollout there ever was, oldest first."""
    found = connection.execute(select(rollouts.c.state).where(rollouts.c.deployment == deployment)).scalars()
    return sorted((decode(text) for text in found), key=lambda s: (s.started_at, s.id))


def encode(state: RolloutState) -> str:
    """JSON for the table `rollouts`; equal states give equal text, so that a row can be found by its state."""
    # Read once and written again, `hours=2` and `hours=2.0` are the same.
    return msgspec.json.encode(decode(msgspec.json.encode(state))).decode()


def decode(text: str | bytes) -> RolloutState:
    """The rollout in a row of the table."""
    return msgspec.json.decode(text, type=RolloutState)
