"""The Spec: what an application needs from a model, and where the model, its claims and its data are.

These are the types behind `roadworthy.yaml`; `core.project` reads the file into them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import force_setattr

from roadworthy.core.measure import Claim, Requirement

Kind = Literal["number", "integer", "category", "text", "boolean", "image"]
Task = Literal["binary", "multiclass", "regression", "generation"]


class Field(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One input or output of a model: its kind, what it means, its unit, its range or its values.

    `width` counts the values of one row: 1 for a column, 64 for a vector of 64. An image has a `shape` (height, width,
    channels; channels may be left out) and values from `low` to `high` (0 to 255 where not said). `values` lists the
    known categories; an unlisted one is let through to the model, which was trained to expect that.
    """

    kind: Kind = "number"
    meaning: str = ""
    unit: str = ""
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    width: int = 1
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if (self.kind == "image") != bool(self.shape):
            raise ValueError(
                "`shape: [height, width]` or `[height, width, channels]` belongs to `kind: image`, and only there"
            )
        if self.shape:
            if len(self.shape) not in (2, 3) or min(self.shape) < 1:
                raise ValueError(
                    f"`shape` of an image is [height, width] or [height, width, channels], got {self.shape!r}"
                )
            if self.width not in (1, math.prod(self.shape)):
                raise ValueError(f"`width` {self.width} is not that of an image of shape {self.shape!r}: leave it out")
            force_setattr(self, "width", math.prod(self.shape))

    @property
    def datatype(self) -> Literal["FP32", "INT64", "BYTES", "BOOL"]:
        """The Open Inference datatype that carries this field."""
        carried: dict[Kind, Literal["FP32", "INT64", "BYTES", "BOOL"]] = {
            "number": "FP32",
            "integer": "INT64",
            "category": "BYTES",
            "text": "BYTES",
            "boolean": "BOOL",
            "image": "FP32",
        }
        return carried[self.kind]


class Signature(Struct, frozen=True, omit_defaults=True):
    """The named inputs and outputs of a model, in the model's order. Tensors have shape (n, width), or (n,)."""

    inputs: Mapping[str, Field]
    outputs: Mapping[str, Field]


class Application(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the model is for, who answers for it, what goes in and what is required of it.

    A multiclass `output` has one number for each of `classes`, a generated one is text, any other one is a number. The
    `classes` of a binary task are what its labels are called, the positive one second.
    """

    name: str
    task: Task
    inputs: Mapping[str, Field]
    owner: str = ""
    meaning: str = ""
    output: str = "probability"
    classes: tuple[str, ...] = ()
    requirements: tuple[Requirement, ...] = ()


class Columns(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which columns of the tables are not inputs: identity, times, outcome, the sticky key and the tags."""

    label: str
    id: str = ""
    at: str = ""
    known_at: str = ""
    key: str = ""
    tags: tuple[str, ...] = ()


class Data(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The tables (Parquet or CSV). `lab` is what the claim was measured on, `production` what really arrives.

    `history` holds the rows that a retraining may learn from, before the labels of production arrive.
    """

    columns: Columns
    lab: str
    production: str
    history: str = ""


class MemberSpec(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One of several models that answer together: its file, what runs it, and what 1,000 rows of it cost.

    A model elsewhere has no file: its engine is a plan such as `remote` with the address.
    """

    file: str = ""
    engine: Any = ""
    preprocessing: tuple[Any, ...] = ()
    wrappers: tuple[Any, ...] = ()
    usd_per_1k: float = 0.0


class ModelSpec(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The model file, the engine that runs it (a plan), its wrappers, and `train`: `file.py:function`.

    A model that runs elsewhere has no file; `roadworthy gap --endpoint` measures it there. Several models that answer
    together are its `members`, from the cheapest to the dearest, among which the `policy` (a plan) chooses; what that
    was fitted to is the JSON file `policy_file`.
    """

    file: str = ""
    engine: Any = ""
    preprocessing: tuple[Any, ...] = ()
    wrappers: tuple[Any, ...] = ()
    train: str = ""
    card: str = ""
    members: Mapping[str, MemberSpec] = field(default_factory=dict)
    policy: Any = None
    policy_file: str = ""


class Stage(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One step of a rollout: who is asked about what, and for how long at least and at most.

    In `shadow` the candidate answers nobody and is shown `share` of the requests (all where not said). In a `canary` it
    answers `share` of the keys, in an `ab` test too, where signals of that mode may ask it to be better and not only no
    worse. In a `holdback` the candidate has become stable, and `share` of the keys stay on what was stable before.
    `where` narrows the stage to requests with a tag, as `origin=LGA`; the others are answered by stable.

    The stage ends when every signal that may promote passes and `hours` have gone by; it gives up after
    `at_most_hours`.
    """

    mode: Literal["shadow", "canary", "ab", "holdback"]
    share: float = 0.0
    hours: float = 0.0
    at_most_hours: float = 24.0 * 28
    where: str = ""

    def __post_init__(self) -> None:
        if self.mode == "shadow" and not self.share:
            force_setattr(self, "share", 1.0)
        if not 0 < self.share <= 1:
            raise ValueError(f"`share` of a {self.mode} must be above 0 and at most 1, got {self.share!r}")
        if self.mode == "holdback" and self.share > 0.5:
            raise ValueError(
                f"`share` of a holdback is the part kept on the old release, at most 0.5; got {self.share!r}"
            )
        if self.hours < 0 or self.at_most_hours < self.hours:
            most = self.at_most_hours
            raise ValueError(
                f"`hours` of a stage must lie between 0 and `at_most_hours` ({most!r}), got {self.hours!r}"
            )
        if self.where and "=" not in self.where:
            raise ValueError(f"`where` names a tag and its value, as `origin=LGA`; got {self.where!r}")


class Signal(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one gate (a plan) has to say in a rollout.

    One that may `promote` must pass before a stage ends, and its fail rolls back; one that may `block` rolls back when
    it fails and holds up nothing while it waits; what one that may `advise` says is shown only. It has no say before
    both arms have `least` rows, nor a pass once the newest row it judged is `stale_hours` old (0: never). `modes` names
    the stages in which it is asked; where empty those that make sense for the gate: `latency` does not judge a shadow.
    """

    gate: Any
    may: Literal["promote", "block", "advise"] = "promote"
    least: int = 0
    stale_hours: float = 0.0
    modes: tuple[Literal["shadow", "canary", "ab", "holdback"], ...] = ()


class Rollout(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The stages in order, and the signals that decide, looked at every `look_hours`.

    `gates` (plans) is the short form of `signals` that all may promote; write one of the two. `key` is the tag by which
    callers stay on their arm (the request's own key where empty). In a `freeze` window (`fri 16:00 - mon 08:00`, or
    `2026-12-20 - 2027-01-03`, on the clock of `timezone`) no candidate gets more traffic; taking one back is always
    allowed.
    """

    stages: tuple[Stage, ...] = (Stage("shadow", hours=24.0), Stage("canary", 0.1, 24.0), Stage("canary", 0.5, 24.0))
    gates: tuple[Any, ...] = ("errors", "latency", "quality")
    look_hours: float = 6.0
    signals: tuple[Signal, ...] = ()
    key: str = ""
    freeze: tuple[str, ...] = ()
    timezone: str = "UTC"

    @property
    def hierarchy(self) -> tuple[Signal, ...]:
        """The signals, whichever way they were written."""
        return self.signals or tuple(Signal(plan) for plan in self.gates)


class Slo(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A service level objective: `at_least` of the requests are answered, within `within_ms` where that is given.

    The budget for the others holds for any `days`. `where` narrows it to rows with a tag, as `tenant=acme`.
    """

    name: str
    at_least: float = 0.999
    within_ms: float = 0.0
    days: float = 30.0
    where: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.at_least < 1:
            raise ValueError(f"`at_least` of an SLO is a share between 0 and 1 such as 0.999, got {self.at_least!r}")


class Monitor(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What watches the records: `detectors` (plans) over windows of days, `rules` and `slos` minute by minute.

    `sinks` are plans of who is told, `runbook` begins the address of what to do about an alert (its name follows).
    `false_alarms_a_month` is the budget that the detectors share. `audit_share` of the predictions are drawn for a
    person to label, `explain_share` are explained in the background, within `explain_cpu_share` of one core. `traces`
    is the address of an OTLP collector, which gets `trace_share` of the requests.
    """

    detectors: tuple[Any, ...] = ("drift", "calibration")
    every_days: float = 7.0
    window_days: float = 7.0
    webhook: str = ""
    rules: tuple[Any, ...] = ("silence_of_traffic", {"seasonal": {"metric": "p99"}}, {"cusum": {"metric": "p99"}})
    slos: tuple[Slo, ...] = (Slo("availability"),)
    sinks: tuple[Any, ...] = ()
    runbook: str = ""
    false_alarms_a_month: float = 1.0
    audit_share: float = 0.0
    explain_share: float = 0.01
    explain_cpu_share: float = 0.02
    traces: str = ""
    trace_share: float = 0.01


class Log(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How records are kept. They are sealed into Parquet once there are `seal_rows`, or the oldest has `seal_minutes`.

    Rows younger than `hot_minutes` stay where a request that is asked twice finds them. `keep_days` is the retention
    (0: for ever). `when_full` says what happens when the disk is: requests are refused, records dropped and counted,
    or written to `spill` until there is room. `ship` is the plan of where else the records go.
    """

    seal_rows: int = 500_000
    seal_minutes: float = 1440.0
    hot_minutes: float = 60.0
    keep_days: float = 0.0
    when_full: Literal["refuse", "drop", "spill"] = "refuse"
    spill: str = ""
    ship: Any = ""

    def __post_init__(self) -> None:
        if self.when_full == "spill" and not self.spill:
            raise ValueError("`when_full: spill` needs `spill`, a directory on another disk")


class Retrain(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """When to train a candidate: on a schedule, and earlier when one of `alarms` (detector names) is raised."""

    every_days: float = 7.0
    alarms: tuple[str, ...] = ("calibration",)
    at_least_days_apart: float = 3.0


class Serving(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How the server runs; `durability` is what an acknowledged prediction survives: `process` death, `power` loss.

    `place` is where the model runs ("auto" measures and chooses). A batch holds at most `most_rows`, rather a number in
    `preferred_rows`, and waits up to `most_delay_seconds` for company where that pays. `timeout_seconds` is the
    deadline of a request that brings none. A model that is not asked for `idle_seconds` is unloaded (0: never), one
    that does not return for `hang_seconds` is given up and loaded again. `fallback` lists plans of what answers when
    the model cannot. `control` "explicit" lets clients of the public listener load and unload. `jobs` is the plan of
    the queue of asynchronous requests, `webhooks` lists the beginnings of URLs that may be told of their end.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    most_rows: int = 256
    queue: int = 4096
    durability: Literal["process", "power"] = "power"
    place: Literal["auto", "loop", "thread", "fronts"] = "auto"
    fronts: int = 2
    preferred_rows: tuple[int, ...] = ()
    most_delay_seconds: float = 0.005
    alike: str = ""
    timeout_seconds: float = 30.0
    idle_seconds: float = 0.0
    hang_seconds: float = 60.0
    fallback: tuple[Any, ...] = ()
    control: Literal["none", "explicit"] = "none"
    jobs: Any = "sqlite"
    webhooks: tuple[str, ...] = ()
    tls_certificate: str = ""
    tls_key: str = ""


class Cost(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the machine costs and how much of its capacity is used on average."""

    usd_per_hour: float = 0.0
    utilisation: float = 0.5


class Promotion(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a release must have before it may become stable, whoever asks.

    `requirements` bound what was measured of it; `by_rollout` lets only a passed rollout promote (a first release, and
    a return to one that was stable before, are free); `signed` asks for a valid signature by one of `trusted`;
    `approvals` counts the people who must have approved it, of whom none may be who made it.
    """

    requirements: tuple[Requirement, ...] = ()
    by_rollout: bool = False
    signed: bool = False
    trusted: tuple[str, ...] = ()
    approvals: int = 0


class Store(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where metadata lies: `metadata` is a URL as `postgresql+psycopg://host/db`; empty, SQLite beside the records.

    A password may stand in the environment: `${NAME}` in the URL is replaced by the variable NAME.
    """

    metadata: str = ""


class Readiness(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What people did by hand for the readiness score: the name of a check mapped to the document that tells of it.

    `at_least` is the score below which `roadworthy readiness` fails a build.
    """

    manual: Mapping[str, str] = field(default_factory=dict)
    at_least: float = 0.0


class Scenario(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A candidate that somebody will try to release at `day` of the replay: what it changes, and what should happen."""

    name: str
    day: float
    preprocessing: tuple[Any, ...] = ()
    wrappers: tuple[Any, ...] = ()
    expect: str = ""


class Spec(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A whole project file. `root` is its folder, to which the paths in it are relative, `name` what it is called."""

    application: Application
    data: Data
    model: ModelSpec
    claims: tuple[Claim, ...] = ()
    rollout: Rollout = field(default_factory=Rollout)
    monitor: Monitor = field(default_factory=Monitor)
    retrain: Retrain = field(default_factory=Retrain)
    serving: Serving = field(default_factory=Serving)
    cost: Cost = field(default_factory=Cost)
    log: Log = field(default_factory=Log)
    promotion: Promotion = field(default_factory=Promotion)
    store: Store = field(default_factory=Store)
    readiness: Readiness = field(default_factory=Readiness)
    corruptions: tuple[Any, ...] = ()
    prepare: str = ""
    scenarios: tuple[Scenario, ...] = ()
    root: Path = Path()
    name: Path = Path("roadworthy.yaml")

    @property
    def file(self) -> Path:
        """The project file itself: what another process opens to see the same project."""
        return self.root / self.name

    @property
    def signature(self) -> Signature:
        """The application's inputs, and its one output."""
        asked = self.application
        kind: Kind = "text" if asked.task == "generation" else "number"
        # The two classes of a binary task name its labels; its answer is the probability of the second.
        width = max(1, len(asked.classes)) if asked.task == "multiclass" else 1
        return Signature(asked.inputs, {asked.output: Field(kind, width=width)})

    @property
    def state(self) -> Path:
        """The directory in which everything that happened is kept."""
        return self.root / ".roadworthy"

    def path(self, relative: str) -> Path:
        """A path of the project file, made absolute."""
        return self.root / relative
