"""All that is known of a rollout, as it is written into the table of rollouts and read out again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct, field
from sqlalchemy import Connection, Engine, select

from roadworthy.core.measure import Verdict
from roadworthy.core.spec import Rollout, Stage
from roadworthy.store.metadata import rollouts

Status = Literal["running", "promoted", "rolled_back", "aborted"]


class RolloutState(Struct, frozen=True, omit_defaults=True):
    """All that is known of a rollout: who is tried against whom, the stage it is in since when, and the last verdicts.

    `candidate` and `control` are release digests, times are Unix seconds, `stage` counts from 0. `touched` counts the
    requests that the candidate has answered for users. `asked` are the places in the plan's hierarchy of the signals
    that the verdicts are of, and `lasting` what signals over the whole rollout have shown. `begun` is when each stage
    began. `hierarchy` is the hash of what was written before the start (`rollout.hierarchy`), `code` that of each file
    of the project that it names, and `fingerprint` that of what decides the candidate's answers.

    While `paused_at` is there no stage ends; `paused_seconds` of this stage went by in earlier pauses. `problem` says
    why the gates cannot be asked; traffic stays as it is then. Every change that is written makes `revision` grow.
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
    asked: tuple[int, ...] = ()
    lasting: Mapping[int, Verdict] = field(default_factory=dict)
    begun: tuple[float, ...] = ()
    hierarchy: str = ""
    code: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    paused_at: float | None = None
    paused_because: str = ""
    paused_seconds: float = 0.0
    problem: str = ""
    revision: int = 0

    @property
    def step(self) -> Stage:
        """The stage that it is in, or ended in."""
        return self.plan.stages[self.stage]

    @property
    def starts(self) -> tuple[float, ...]:
        """When each stage so far began; of a rollout that an older version wrote, what is known of it."""
        return self.begun or (self.started_at,) * self.stage + (self.stage_since,)

    @property
    def expected_stable(self) -> str:
        """What the alias `stable` means while this rollout runs: in a holdback that is the candidate already."""
        return self.candidate if self.step.mode == "holdback" else self.control

    def running_hours(self, at: float) -> float:
        """The hours of this stage, those of its pauses left out."""
        until = at if self.paused_at is None else self.paused_at
        return (until - self.stage_since - self.paused_seconds) / 3600


def running_of(connection: Connection, deployment: str) -> RolloutState | None:
    """The rollout that is under way, of which there is at most one."""
    found = select(rollouts.c.state).where(rollouts.c.deployment == deployment, rollouts.c.status == "running")
    text = connection.execute(found).scalars().first()
    return None if text is None else decode(text)


def last_of(connection: Connection, deployment: str) -> RolloutState | None:
    """The rollout that was written last."""
    found = select(rollouts.c.state).where(rollouts.c.deployment == deployment).order_by(rollouts.c.updated_at.desc())
    text = connection.execute(found.limit(1)).scalars().first()
    return None if text is None else decode(text)


def all_of(connection: Connection, deployment: str) -> list[RolloutState]:
    """Every rollout there ever was, oldest first."""
    found = connection.execute(select(rollouts.c.state).where(rollouts.c.deployment == deployment)).scalars()
    return sorted((decode(text) for text in found), key=lambda s: (s.started_at, s.id))


def history(engine: Engine, deployment: str) -> list[RolloutState]:
    """Every rollout there ever was, oldest first, read in a connection of its own."""
    with engine.execution_options(reading=True).connect() as connection:
        return all_of(connection, deployment)


def encode(state: RolloutState) -> str:
    """JSON for the table `rollouts`; equal states give equal text, so that a row can be found by its state."""
    # Read once and written again, `hours=2` and `hours=2.0` are the same.
    return msgspec.json.encode(decode(msgspec.json.encode(state))).decode()


def decode(text: str | bytes) -> RolloutState:
    """The rollout in a row of the table."""
    return msgspec.json.decode(text, type=RolloutState)
