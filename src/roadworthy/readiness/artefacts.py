"""What a project has to show: the facts that the checks of readiness are computed from. It gathers nothing itself."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct, field

from roadworthy.core.artifact import Release
from roadworthy.core.catalog import read_plan
from roadworthy.core.spec import MemberSpec, ModelSpec, Spec

DAY = 86_400.0


class PastRollout(Struct, frozen=True):
    """A rollout that ended or runs: which candidate, how it ended, what it went through, on how many labels."""

    id: str
    candidate: str
    status: str
    started_at: float
    modes: tuple[str, ...]
    gates: tuple[str, ...]
    labels: int = 0


class GapFacts(Struct, frozen=True):
    """What a gap report says that readiness asks for. `edges` counts hostile inputs, `edges_failed` those that hurt."""

    at: float
    release: str
    decision: str
    claims: int
    reproduced: int
    slices: int
    corruptions: int
    edges: int
    edges_failed: int
    measured: tuple[str, ...] = ()


class Newest(Struct, frozen=True):
    """How many events of a kind there are, and when the newest was."""

    count: int
    at: float


class Artefacts(Struct, frozen=True):
    """Everything that is looked at, as of `now` (Unix seconds).

    `chores` maps what is done beside the server to when it last was, `tests` a test file of the project to its text,
    `builds` a file of the build server to its text, `documents` the name of a check to the document of its manual run
    (only those that exist). `weights` is the share of each input in the explained answers.
    """

    spec: Spec
    now: float
    stable: Release | None = None
    stable_since: float | None = None
    releases: tuple[Release, ...] = ()
    promoted: tuple[str, ...] = ()
    rollouts: tuple[PastRollout, ...] = ()
    events: Mapping[str, Newest] = field(default_factory=dict)
    chores: Mapping[str, float] = field(default_factory=dict)
    tests: Mapping[str, str] = field(default_factory=dict)
    builds: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)
    gap: GapFacts | None = None
    compared: int = 0
    life: bool = False
    records: int = 0
    labels: int = 0
    explained: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)
    profile: bool = False
    keys: int = 0
    approvals: int = 0

    def done(self, chore: str, within_days: float) -> bool:
        """Whether a chore beside the server was done so lately."""
        return self.now - self.chores.get(chore, float("-inf")) <= within_days * DAY

    @property
    def own_code(self) -> tuple[str, ...]:
        """The project's own Python files: what prepares, trains and wraps."""
        models: tuple[ModelSpec | MemberSpec, ...] = (self.spec.model, *self.spec.model.members.values())
        plans = [read_plan(p)[0] for one in models for p in (*one.preprocessing, *one.wrappers)]
        named = [*plans, self.spec.model.train, self.spec.prepare]
        return tuple(sorted({name.partition(":")[0] for name in named if ".py:" in name}))

    @property
    def tested_code(self) -> tuple[str, ...]:
        """Those of `own_code` that some test of the project imports, or names as a file."""
        return tuple(file for file in self.own_code if any(_names(text, file) for text in self.tests.values()))

    @property
    def gates(self) -> tuple[str, ...]:
        """The names of the gates that decide a rollout, those that only advise left out."""
        return tuple(read_plan(s.gate)[0] for s in self.spec.rollout.hierarchy if s.may != "advise")


def _names(text: str, file: str) -> bool:
    name = file.rpartition("/")[2]
    stem = re.escape(name.removesuffix(".py"))
    return name in text or re.search(rf"^\s*(from|import) ([\w.]*\.)?{stem}\b", text, re.MULTILINE) is not None
