"""A deployment with two releases, rows as a server would leave them, and gates that say what they are told to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from sqlalchemy import select

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.record import Record
from roadworthy.core.spec import Field, Rollout, Signature, Stage
from roadworthy.core.wire import Arm
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import Controller
from roadworthy.store.events import read_events
from roadworthy.store.metadata import audit
from roadworthy.store.state import State

HOUR = 3600.0
BEGAN = 1_000_000.0

# Gates of a project: they count the rows that they were given in their reasons.
SAYS = '''
"""Gates that say what they are told to say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from roadworthy.core.measure import Measurement, Verdict


@dataclass(frozen=True)
class Says:
    """Always the same."""

    decision: str = "pass"
    share: float = 0.0
    seed: int = -1
    rows_since: ClassVar[str] = "stage"

    def __call__(self, control, candidate):
        labels = int((~np.isnan(candidate.labels)).sum())
        because = f"{control.n} against {candidate.n} rows, {labels} labels"
        evidence = (Measurement("none", float("nan"), 0), Measurement("share", self.share, candidate.n))
        return Verdict(self.decision, because, evidence=evidence)


@dataclass(frozen=True)
class SaysOfAll(Says):
    """Always the same, of all rows of the rollout."""

    rows_since: ClassVar[str] = "rollout"


@dataclass(frozen=True)
class SaysInTurn:
    """The next word in a file; the last one again and again. `!` raises."""

    file: str
    rows_since: ClassVar[str] = "rollout"

    def __call__(self, control, candidate):
        words = Path(self.file).read_text().split()
        Path(self.file).write_text(" ".join(words[1:] or words))
        if words[0] == "!":
            raise RuntimeError("this gate is broken")
        return Verdict(words[0], "as told")


@dataclass(frozen=True)
class Labelled:
    """Passes once there are labels."""

    rows_since: ClassVar[str] = "rollout"

    def __call__(self, control, candidate):
        n = int((~np.isnan(candidate.labels)).sum())
        return Verdict("pass" if n else "wait", f"{n} labels")
'''


def says(decision: str, of_all: bool = False) -> Any:
    """The plan of a gate that always says this."""
    return {f"says.py:{'SaysOfAll' if of_all else 'Says'}": {"decision": decision}}


def plan_of(*gates: Any, stages: tuple[Stage, ...] = (), **more: Any) -> Rollout:
    """A plan with these gates; with a shadow and a canary where no stages are given."""
    given = stages or (Stage("shadow", hours=2, at_most_hours=48), Stage("canary", 0.25, 3, 24))
    return Rollout(stages=given, gates=gates, **more)


@dataclass
class World:
    """The project in `root`, with `stable` in production under the name "flights" and a `candidate` (digests)."""

    state: State
    registry: Registry
    root: Path
    stable: str
    candidate: str

    @classmethod
    def made(cls, state: State, root: Path) -> World:
        """A new one, in a new folder."""
        root.mkdir(parents=True)
        (root / "says.py").write_text(SAYS)
        registry = Registry(state)
        stable, candidate = (registry.add(release(name), file_in(root, name)).digest for name in ("first", "second"))
        registry.point("flights", "stable", stable, BEGAN - HOUR, "anna", "first release")
        return cls(state, registry, root, stable, candidate)

    def controller(self, **more: Any) -> Controller:
        """A controller of its own, with a registry of its own."""
        return Controller(self.state, Registry(self.state), self.root, **more)

    def write(self, digest: str, arm: Arm, since: float, n: int, every: float = 10.0, **more: Any) -> None:
        """Rows of a release, one after the other."""
        base = Record("", 0.0, digest, arm, {"x": 1.0}, {"probability": 0.3}, seconds={"total": 0.01})
        rows = [replace(base, id=f"r{since + k * every:.0f}", at=since + k * every, **more) for k in range(n)]
        self.state.records.write(rows)

    def changes(self) -> list[str]:
        """The steps of all rollouts, as the events have them."""
        return [event.data["change"] for event in read_events(self.state.engine, "rollout", "flights")]

    def deeds(self) -> list[str]:
        """What the audit log has, in its order."""
        with self.state.engine.connect() as connection:
            return list(connection.execute(select(audit.c.action).order_by(audit.c.seq)).scalars())


def release(name: str, by: str = "", **fields: Field) -> Release:
    """A release whose model is a file with its name in it."""
    inputs: Mapping[str, Field] = {"x": Field(), "wind": Field(unit="m/s")} | fields
    signature = Signature(inputs, {"probability": Field()})
    return Release(name, (Artifact("model", "", 0),), signature, made_by=by)


def file_in(folder: Path, name: str) -> dict[str, Path]:
    """The file of such a release."""
    path = folder / name
    path.write_text(name)
    return {"model": path}
