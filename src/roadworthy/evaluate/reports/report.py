"""The gap report: what a gap measurement found, as plain structs that are written to JSON and read back."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec
from msgspec import Struct

from roadworthy.core.measure import Decision, Measurement, Requirement, Verdict, worst
from roadworthy.core.spec import Task
from roadworthy.core.worse_slices import WorseSlice
from roadworthy.evaluate.certainty.certainty import Certainty
from roadworthy.evaluate.certainty.who_answered import WhoAnswered
from roadworthy.evaluate.crowd.equality import Equality
from roadworthy.evaluate.crowd.under_load import UnderLoad
from roadworthy.evaluate.hostile.edge_runs import EdgeReport
from roadworthy.evaluate.load_test.load import LoadRun
from roadworthy.evaluate.load_test.search import Search
from roadworthy.evaluate.mix import Mix
from roadworthy.evaluate.paired import Flips
from roadworthy.evaluate.process.cold_start import ColdStart
from roadworthy.evaluate.process.memory import Memory
from roadworthy.evaluate.reproduction.reproduce import Reproduction


class Slice(Struct, frozen=True):
    """The metrics on a part of the production rows."""

    where: str
    measured: tuple[Measurement, ...]


class Spoilt(Struct, frozen=True):
    """A corruption at a severity: the metrics on the spoilt rows, against the same rows as they came.

    `changed` counts the rows that the corruption touched at all: 0 means that it found nothing to spoil.
    """

    name: str
    plan: Any
    severity: float
    changed: int
    measured: tuple[Measurement, ...]
    change: Measurement
    flips: Flips


class Repaired(Struct, frozen=True):
    """What a repair gives back of what a corruption took, on the same rows, and what it costs rows that were clean.

    `plan` is what stands in `preprocessing` of the project file to have it ("" where nothing serves it yet). `clean`
    is the change on the production rows as they came, in which a repair that does harm shows.
    """

    name: str
    plan: Any
    of: str
    severity: float
    touched: int
    spoilt: Measurement
    mended: Measurement
    change: Measurement
    clean: Measurement
    flips: Flips


class Rung(Struct, frozen=True):
    """One level of the waterfall: the headline metric as claimed, in the lab, in production, spoilt, under load.

    `start` is the level that it is compared with, NaN for the first. "mixed" is production spoilt as its own sample
    says that it is, "effective" the same with every request that failed under load counted as a wrong answer.
    """

    name: str
    kind: Literal["claim", "lab", "production", "corruption", "mixed", "under load", "effective"]
    measured: Measurement
    start: float


class Failure(Struct, frozen=True):
    """Rows or requests that got no answer, with the reason."""

    where: str
    because: str
    rows: int


class GapReport(Struct, frozen=True):
    """Everything between the claim and what the application will get, and how it was measured.

    `headline` is the metric of the waterfall and of the corruptions. `made_at` is Unix seconds, `seconds` what each
    step took. A section that was left out is None or empty.
    """

    name: str
    made_at: float
    headline: str
    reproductions: tuple[Reproduction, ...]
    lab: tuple[Measurement, ...]
    production: tuple[Measurement, ...]
    slices: tuple[Slice, ...]
    spoilt: tuple[Spoilt, ...]
    load: LoadRun | None
    capacity: Measurement
    cost: Measurement | None
    verdicts: tuple[Verdict, ...]
    waterfall: tuple[Rung, ...]
    failures: tuple[Failure, ...]
    environment: dict[str, str]
    settings: dict[str, Any]
    owner: str = ""
    meaning: str = ""
    task: Task = "binary"
    requirements: tuple[Requirement, ...] = ()
    weak: tuple[WorseSlice, ...] = ()
    shift: tuple[Measurement, ...] = ()
    unlabelled: tuple[Measurement, ...] = ()
    mix: Mix | None = None
    mixed: Spoilt | None = None
    repairs: tuple[Repaired, ...] = ()
    edges: EdgeReport | None = None
    search: Search | None = None
    under_load: UnderLoad | None = None
    equalities: tuple[Equality, ...] = ()
    cold: ColdStart | None = None
    memory: Memory | None = None
    effective: Measurement | None = None
    seconds: dict[str, float] = {}
    certainty: tuple[Certainty, ...] = ()
    answered_by: tuple[WhoAnswered, ...] = ()

    @property
    def decision(self) -> Decision:
        """The worst verdict on the requirements; a claim that was not reproduced fails on its own."""
        if any(r.outcome == "not reproduced" for r in self.reproductions):
            return "fail"
        return worst(self.verdicts)


def write_json(report: Struct) -> bytes:
    """The report as indented JSON, keys in order; what is infinite or unknown is null, as JSON has no word for it."""
    return msgspec.json.format(msgspec.json.encode(report, order="deterministic"), indent=2)


def read_json(text: bytes) -> GapReport:
    """The report back from its JSON. Raises msgspec.ValidationError naming the field that is wrong."""
    return msgspec.convert(_revived(msgspec.json.decode(text)), GapReport)


def _revived(tree: Any) -> Any:
    """A null bound is an open one; a null value is infinite where rows were measured, and unknown where none were."""
    if isinstance(tree, list):
        return [_revived(part) for part in tree]
    if not isinstance(tree, dict):
        return tree
    tree = {key: _revived(part) for key, part in tree.items()}
    if "value" in tree and "n" in tree:
        unbounded = {"low": -math.inf, "high": math.inf, "value": math.inf if tree["n"] else math.nan}
        tree = {key: unbounded[key] if part is None and key in unbounded else part for key, part in tree.items()}
    if "start" in tree and tree["start"] is None:
        tree["start"] = math.nan
    return tree
