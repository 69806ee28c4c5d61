"""What abstaining came to is read from a real store: its records, every label, and the release that promised."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from roadworthy.cli.spans import Stretch
from roadworthy.cli.watched_quality import FullQuality, full_quality_of, quality_of
from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadRequest
from roadworthy.core.project import read_project
from roadworthy.core.record import Label, Record
from roadworthy.core.spec import Spec
from roadworthy.core.wire import Step
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

HOUR, DAY = 3600.0, 86_400.0
BEGAN = 1_700_438_400.0
NOW = BEGAN + 21 * DAY
SPAN = Stretch(BEGAN, NOW, NOW)
FLAG = (Step("abstain", "confidence 0.55 is not above 0.6"),)


def rows(digest: str, n: int = 1200, cut: float = 0.6) -> list[Record]:
    rng = np.random.default_rng(0)
    p = rng.random(n)
    sure = np.maximum(p, 1 - p)
    return [
        Record(
            f"r{k:05d}", BEGAN + k * 21 * DAY / n, digest, "stable", {"radius": 1.0}, {"probability": float(p[k])},
            None if cut == 0 else float(sure[k]), path=FLAG if sure[k] < cut else (),
        )
        for k in range(n)
    ]  # fmt: skip


def outcomes(records: list[Record], delay: float = HOUR) -> list[Label]:
    """What a tower says: the second class as often as was foretold."""
    rng = np.random.default_rng(1)
    said = [Label(r.id, float(rng.random() < r.outputs["probability"]), r.at + delay, "tower") for r in records]
    return [label for label in said if label.at <= NOW]


@pytest.fixture
def project(clinic: Path) -> Spec:
    return read_project(clinic)


def kept(state: State, spec: Spec, *wrappers: object) -> str:
    file = spec.root / "model" / "clinic.onnx"
    release = Release("clinic", (Artifact("model", "", 0, engine="onnx"),), spec.signature, wrappers=wrappers)
    return Registry(state).add(release, {"model": file}).digest


def test_people_who_agree_count_as_much_as_those_who_do_not(both_states: State, project: Spec) -> None:
    state, digest = both_states, kept(both_states, project, {"abstain": {"threshold": 0.6, "risk": 0.3, "delta": 0.1}})
    made = rows(digest)
    state.records.write(made)
    state.records.write_labels(outcomes(made))
    flagged = [record for record in made if record.path][:60]
    # Anna overrules the model on every third flagged row, whatever the tower said before her.
    anna = [
        Label(r.id, float((r.outputs["probability"] >= 0.5) != (k % 3 == 0)), r.at + 2 * HOUR, "person:anna")
        for k, r in enumerate(flagged)
    ]
    state.records.write_labels(anna)
    # Ben disagrees with her about the first ten, and has the last word; the standing label is still the tower's.
    state.records.write_labels([Label(x.id, 1 - x.value, x.at + HOUR, "person:ben") for x in anna[:10]])
    found = full_quality_of(project, state, SPAN).abstained
    assert found is not None
    overall = found.overall
    overruled = sum(k % 3 == 0 if k >= 10 else k % 3 != 0 for k in range(60))
    assert (overall.overrides.value, overall.overrides.n) == (overruled / 60, 60)
    assert (overall.disagreement.value, overall.disagreement.n) == (1.0, 10)
    assert found.sources == {
        "tower": len([r for r in made if r.path and r.at + HOUR <= NOW]), "person:anna": 60, "person:ben": 10
    }  # fmt: skip
    assert overall.flagged.value == sum(bool(r.path) for r in made) / 1200
    assert overall.accuracy_flagged.high < overall.accuracy_answered.low
    assert found.promise is not None
    assert found.promise.decision == "pass"
    assert len(found.weeks) == 3


def test_the_same_labels_count_as_in_the_rest_of_the_report(both_states: State, project: Spec) -> None:
    state = both_states
    made = rows(kept(state, project))
    state.records.write(made)
    rng = np.random.default_rng(2)
    late = [msgspec.structs.replace(x, at=x.at + rng.uniform(0, 3 * DAY)) for x in outcomes(made)]
    state.records.write_labels([label for label in late if label.at <= NOW])
    state.records.write_labels([Label(made[0].id, 1.0, NOW + DAY, "person")])
    found = full_quality_of(project, state, SPAN)
    assert found.arrival.young > 50
    accuracy = found.of("accuracy")
    assert found.abstained is not None
    assert (found.abstained.overall.accuracy.value, found.abstained.overall.accuracy.n) == (accuracy.value, accuracy.n)
    assert found.abstained.overall.overrides_answered.n == 0  # a word of tomorrow
    plain = quality_of(project, state, SPAN)
    assert msgspec.structs.asdict(plain).items() <= {**msgspec.structs.asdict(found)}.items()
    raw = msgspec.json.encode(found)
    assert msgspec.json.encode(msgspec.json.decode(raw, type=FullQuality)) == raw


def test_what_the_release_is_unsure_by_is_read_from_its_wrapper(state: State, project: Spec) -> None:
    digest = kept(state, project, {"abstain": {"threshold": 0.2, "on": "epistemic", "unsure": "above"}})
    made = [
        msgspec.structs.replace(r, outputs={**r.outputs, "epistemic": 1 - (r.confidence or 0)}, confidence=None)
        for r in rows(digest)
    ]
    state.records.write(made)
    state.records.write_labels(outcomes(made))
    found = full_quality_of(project, state, SPAN).abstained
    assert found is not None
    assert found.doubt == "epistemic"
    assert found.overall.error_auroc.low > 0.6
    assert found.promise is None  # no risk was certified


def test_without_confidence_flag_or_wrapper_there_is_nothing_to_say(state: State, project: Spec) -> None:
    made = rows("f" * 64, cut=0.0)  # of a release that was never kept here
    state.records.write(made)
    state.records.write_labels(outcomes(made))
    assert full_quality_of(project, state, SPAN).abstained is None
    assert full_quality_of(project, state, Stretch(0.0, 1.0, NOW)).abstained is None


def test_an_empty_wrapper_speaks_before_the_first_flag(state: State, project: Spec) -> None:
    digest = kept(state, project, {"abstain": {"threshold": 0.01, "on": "gone"}})
    state.records.write(rows(digest, cut=0.0))
    found = full_quality_of(project, state, SPAN).abstained
    assert found is not None
    assert (found.doubt, found.overall.flagged.value, found.overall.rows) == ("confidence", 0.0, 1200)
    assert "no row was flagged: the release was sure of all of them" in found.notes


def test_failed_rows_are_told_apart(state: State, project: Spec) -> None:
    made = rows(kept(state, project), 300)
    failed = Record("bad", BEGAN + 1, made[0].release, "stable", {}, {}, error="Late: too late")
    state.records.write([*made, failed])
    found = full_quality_of(project, state, SPAN)
    assert found.rows == 300
    assert found.abstained is not None
    assert (found.abstained.overall.rows, found.abstained.overall.failed) == (300, 1)


def test_a_tolerance_is_for_numbers(state: State, project: Spec) -> None:
    state.records.write(rows(kept(state, project), 30))
    with pytest.raises(BadRequest, match="those of a 'binary' task are classes"):
        full_quality_of(project, state, SPAN, tolerance=1.0)
