"""The readiness score from artefacts: what gives a point, what gives half of one, and what is missing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from rich.console import Console

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.spec import Application, Columns, Data, Field, ModelSpec, Readiness, Signal, Spec
from roadworthy.readiness.artefacts import DAY, Artefacts, GapFacts, Newest, PastRollout
from roadworthy.readiness.coverages import coverages, level_of
from roadworthy.readiness.score import SECTIONS, Score, names, readiness, score_text

NOW = 1_000_000_000.0
CHORES = {"drift": NOW - DAY, "quality": NOW - 100, "minute": NOW - 10}


INPUTS = {"radius": Field(unit="mm"), "texture": Field(low=0.0), "smoothness": Field(nullable=True)}


@pytest.fixture
def spec() -> Spec:
    return Spec(
        Application("clinic", "binary", INPUTS),
        Data(Columns("late"), "lab.parquet", "production.parquet"),
        ModelSpec("model.onnx", train="train.py:train"),
    )


def bare(spec: Spec) -> Artefacts:
    return Artefacts(spec, NOW)


def release(spec: Spec, **more: object) -> Release:
    made = Release("clinic", (Artifact("model", "a" * 64, 1),), spec.signature, data={"train": "rows"})
    return msgspec.structs.replace(made, **more)


def rich(spec: Spec) -> Artefacts:
    """A project that does everything, and automatically."""
    signals = (Signal("errors"), Signal("quality"), Signal("slices"))
    monitor = msgspec.structs.replace(spec.monitor, webhook="http://127.0.0.1/hook")
    spec = msgspec.structs.replace(
        spec,
        rollout=msgspec.structs.replace(spec.rollout, signals=signals, gates=()),
        monitor=monitor,
        log=msgspec.structs.replace(spec.log, keep_days=30.0),
    )
    first = release(spec, code="git:aa", training={"seed": 1, "trials": 9}, versions={"numpy": "2"})
    second = msgspec.structs.replace(first, parent=first.digest)
    through = ("shadow", "canary")
    ends = ("promoted", "rolled_back", "promoted")
    return Artefacts(
        spec,
        NOW,
        stable=second,
        stable_since=NOW - 3 * DAY,
        releases=tuple(msgspec.structs.replace(r, measured=()) for r in (first, second)),
        promoted=(first.digest, second.digest),
        rollouts=tuple(PastRollout(str(k), second.digest, e, NOW, through, (), 400) for k, e in enumerate(ends)),
        events={"server_started": Newest(3, NOW), "reproduced": Newest(1, NOW)},
        chores=CHORES,
        tests={"tests/test_train.py": "from train import train\n"},
        builds={".github/workflows/gap.yml": "run: pytest && roadworthy gap"},
        gap=GapFacts(NOW, first.digest, "pass", 1, 1, 12, 5, 40, 0),
        compared=2,
        life=True,
        records=5000,
        labels=4000,
        explained=200,
        weights=dict.fromkeys(spec.application.inputs, 0.3),
        profile=True,
        keys=1,
        approvals=1,
    )


def found(score: Score, name: str) -> float:
    return next(r.finding.points for r in score.results if r.name == name)


def test_there_are_the_28_tests_of_the_paper_seven_a_section() -> None:
    assert [len(checks) for checks in SECTIONS.values()] == [7, 7, 7, 7]
    assert len(set(names())) == 28


def test_a_new_project_has_no_point_and_is_told_for_each_what_to_do(spec: Spec) -> None:
    score = readiness(bare(spec))
    assert score.value == 0
    assert score.meaning == "more of a research project than a production system"
    assert all(r.finding.missing for r in score.results if r.finding.points < 1)
    assert score.level == "None"


def test_the_score_is_the_least_of_the_four_sections(spec: Spec) -> None:
    score = readiness(rich(spec))
    assert score.sections == {"data": 4, "model": 5.5, "infrastructure": 7, "monitoring": 7}
    assert (score.value, score.meaning[:13]) == (4, "strong levels")
    assert all(r.finding.evidence for r in score.results if r.finding.points)
    assert all(step.partition(":")[0] in names() for step in score.next)


Spoil = Callable[[Artefacts], Artefacts]


def without(**more: object) -> Spoil:
    return lambda whole: msgspec.structs.replace(whole, **more)


@pytest.mark.parametrize(
    ("name", "spoil", "points"),
    [
        ("feature_expectations", without(profile=False), 0),
        ("features_beneficial", without(weights={"radius": 1.0}), 0),
        ("features_beneficial", without(explained=3), 0),
        ("privacy", without(keys=0), 0),
        ("feature_code", without(tests={"tests/test_other.py": "trained = 1"}), 0),
        ("feature_code", without(builds={}), 0.5),
        ("specs_reviewed", without(approvals=0), 0.5),
        ("offline_online", without(rollouts=()), 0),
        ("staleness", without(life=False), 0),
        ("simpler_model", without(compared=1), 0),
        ("slices", without(gap=None), 0),
        ("reproducible", without(events={}), 0.5),
        ("integration", without(builds={}), 0.5),
        ("debuggable", without(records=0), 0),
        ("canary", without(rollouts=()), 0.5),
        ("rollback", without(rollouts=()), 0.5),
        ("invariants", without(chores={**CHORES, "drift": NOW - 90 * DAY}), 0),
        ("fresh", without(stable_since=NOW - 200 * DAY), 0),
        ("numerics", without(gap=GapFacts(NOW, "", "pass", 1, 1, 1, 1, 40, 3)), 0),
        ("performance", without(chores={}), 0),
        ("quality", without(labels=0), 0),
    ],
)
def test_a_point_goes_with_its_evidence(spec: Spec, name: str, spoil: Spoil, points: float) -> None:
    whole = rich(spec)
    assert found(readiness(whole), name) > points
    assert found(readiness(spoil(whole)), name) == points


def test_alarms_that_nobody_hears_are_half_a_point(spec: Spec) -> None:
    whole = rich(spec)
    deaf = msgspec.structs.replace(whole.spec, monitor=msgspec.structs.replace(whole.spec.monitor, webhook=""))
    score = readiness(msgspec.structs.replace(whole, spec=deaf))
    assert [found(score, name) for name in ("invariants", "skew", "performance", "quality")] == [0.5] * 4


def test_code_that_was_not_committed_is_reviewed_by_nobody(spec: Spec) -> None:
    whole = rich(spec)
    dirty = msgspec.structs.replace(whole.stable, code="git:aa+changes") if whole.stable else None
    score = readiness(msgspec.structs.replace(whole, stable=dirty, events={}))
    assert (found(score, "specs_reviewed"), found(score, "reproducible")) == (0, 0)


def test_what_people_did_by_hand_is_half_a_point_with_its_document(spec: Spec) -> None:
    documented = msgspec.structs.replace(
        rich(spec), documents={"inclusion": "docs/fair.md", "slices": "docs/slices.md"}
    )
    score = readiness(documented)
    one = next(r.finding for r in score.results if r.name == "inclusion")
    assert (one.points, one.evidence) == (0.5, ("docs/fair.md",))
    assert found(score, "slices") == 1


def test_the_build_fails_below_the_score_that_the_project_asks_for(spec: Spec) -> None:
    whole = rich(spec)
    for least, decision in ((4.0, "pass"), (4.5, "fail")):
        asked = msgspec.structs.replace(whole.spec, readiness=Readiness(at_least=least))
        assert readiness(msgspec.structs.replace(whole, spec=asked)).verdict.decision == decision


def test_the_coverages_say_what_is_not_covered(spec: Spec) -> None:
    whole = rich(spec)
    offline, shadow, tests, monitoring = coverages(whole)
    assert (offline.measured.value, offline.measured.n) == (0.5, 2)
    assert whole.promoted[1][:12] in offline.missing[0]
    assert [c.measured.value for c in (shadow, tests, monitoring)] == [1, 1, 1]
    assert level_of((offline, shadow, tests, monitoring)) == "Basic"
    assert level_of((shadow, tests, monitoring)) == "Advanced"
    silent = coverages(msgspec.structs.replace(whole, chores={}))[3]
    assert silent.missing == (
        "drift is not looked for", "quality is not measured", "latency and errors are not judged",
    )  # fmt: skip


def test_a_score_goes_to_json_and_back_and_names_every_check_in_its_text(spec: Spec) -> None:
    score = readiness(rich(spec))
    again = msgspec.json.decode(msgspec.json.encode(score), type=Score)
    assert (again.value, again.results) == (score.value, score.results)
    console = Console(width=100)
    with console.capture() as shown:
        console.print(score_text(score))
    text = shown.get()
    assert all(name in text for name in names())
    assert "Deployment safety: Basic" in text
