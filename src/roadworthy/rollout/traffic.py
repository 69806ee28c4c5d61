"""Which release answers now, and what share of the traffic another one gets, read from the store."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from sqlalchemy import Connection, select

from roadworthy.core.errors import Missing
from roadworthy.rollout.rollout_state import RolloutState, running_of
from roadworthy.store.metadata import aliases
from roadworthy.store.state import State


class Traffic(Struct, frozen=True):
    """Which release answers (`stable`), which one is beside it (`candidate`), and which requests that gets.

    A shadow answers nobody and is shown `share` of the keys; a canary, or the candidate of an ab test, answers them. In
    a holdback the release that was tried is `stable` and the one before stands beside it, for `share` of the keys
    (`held`). `candidate` is None while no rollout runs. `salt` keeps a key on its arm for the length of one rollout,
    `key` is the tag that says what a key is ("": the request's own), and only requests with the tag and value in
    `where` ("origin=LGA") are in the stage.
    """

    stable: str
    candidate: str | None = None
    mode: Literal["stable", "shadow", "canary", "ab", "holdback"] = "stable"
    share: float = 0.0
    salt: str = ""
    where: str = ""
    key: str = ""

    @property
    def held(self) -> str | None:
        """The release that some keys are held back on, in a holdback."""
        return self.candidate if self.mode == "holdback" else None


def traffic(state: State, deployment: str) -> Traffic:
    """Who answers now. Two indexed rows: cheap enough to ask every second. Raises Missing without a stable release."""
    with state.engine.execution_options(reading=True).connect() as connection:
        stable = stable_of(connection, deployment)
        running = running_of(connection, deployment)
    if stable is None:
        raise Missing(
            f"deployment {deployment!r} has no stable release; make one with `roadworthy release`, then serve it"
        )
    return Traffic(stable) if running is None else _beside(stable, running)


def stable_of(connection: Connection, deployment: str) -> str | None:
    """The digest behind the alias `stable`."""
    named = (aliases.c.deployment == deployment) & (aliases.c.alias == "stable")
    return connection.execute(select(aliases.c.digest).where(named).order_by(aliases.c.seq.desc()).limit(1)).scalar()


def _beside(stable: str, running: RolloutState) -> Traffic:
    """The traffic of a running rollout; stable alone where that is no longer what the candidate is compared with."""
    step = running.step
    compared, other = running.control, running.candidate
    if step.mode == "holdback":
        compared, other = other, compared
    if stable != compared:
        return Traffic(stable)
    return Traffic(stable, other, step.mode, step.share, running.id, step.where, running.plan.key)
