from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from roadworthy.core.artifact import Artifact
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Application, Columns, Data, Field, ModelSpec, Retrain, Serving, Spec
from roadworthy.learn.base import Trained
from roadworthy.learn.retrain import DAY, candidate, due, retrain, train, written
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

WEEKLY = Retrain(every_days=7, alarms=("calibration",), at_least_days_apart=3)


@pytest.mark.parametrize(
    ("last", "alarms", "decision", "because"),
    [
        (None, (), "pass", "never trained"),
        (3.0, (), "pass", "7.0 days since the last training"),
        (4.0, (), "wait", "6.0 of 7 days"),
        (4.0, ("calibration",), "pass", "alarm of calibration, 6.0 days after"),
        (7.0, ("calibration",), "pass", "3.0 days after"),
        (8.0, ("calibration",), "wait", "alarm of calibration, but 2.0 of at least 3 days"),
        (4.0, ("psi",), "wait", "no alarm"),
    ],
)
def test_when_to_train(last, alarms, decision, because):
    verdict = due(None if last is None else last * DAY, 10 * DAY, WEEKLY, alarms)
    assert verdict.decision == decision
    assert because in verdict.because


def sample(n=10) -> Sample:
    return Sample({"x": np.arange(n, dtype=float)}, labels=np.arange(n) % 2.0)


def mean_model(sample: Sample, folder: Path, seed: int) -> Trained:
    (folder / "model.txt").write_text(f"{sample.labels.mean()} {seed}")
    return Trained(Path("model.txt"), "mean", note="mean of the labels")


def test_what_was_trained_comes_back_with_its_file(tmp_path):
    trained = retrain(mean_model, sample(), tmp_path / "new" / "work", seed=3)
    assert trained.file == tmp_path / "new" / "work" / "model.txt"
    assert trained.file.read_text() == "0.5 3"


def test_a_mapping_will_do(tmp_path):
    def by_mapping(sample, folder, seed):
        return {"file": str(mean_model(sample, folder, seed).file), "engine": "mean"}

    assert retrain(by_mapping, sample(), tmp_path, 0).engine == "mean"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "must return a Trained"),
        ({"engine": "onnx"}, "a mapping with `file`"),
        ({"file": "a", "engin": "onnx"}, "'engin'; did you mean 'engine'"),
        ({"file": "nowhere.onnx"}, "no file or an empty one"),
        (Trained(Path("nowhere.onnx")), "no file or an empty one"),
    ],
)
def test_what_train_gives_back_wrongly_is_refused(tmp_path, given, message):
    with pytest.raises(SpecError, match=message):
        retrain(lambda sample, folder, seed: given, sample(), tmp_path, 0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (sample(0), "no labelled rows"),
        (Sample({"x": np.zeros(3)}), "no labelled rows"),
        (Sample({"x": np.zeros(2)}, labels=np.array([1.0, np.nan])), "1 of 2 rows have no label"),
    ],
)
def test_rows_that_cannot_be_learnt_from_are_refused(tmp_path, rows, message):
    with pytest.raises(BadData, match=message):
        retrain(mean_model, rows, tmp_path, 0)


def spec(root=Path(), **model) -> Spec:
    application = Application("flights", "binary", {"x": Field()})
    data = Data(Columns("late"), "lab.parquet", "production.parquet")
    return Spec(application, data, ModelSpec(**{"file": "model.onnx", **model}), root=root)


PROJECT = """
from pathlib import Path
HALF = 0.5

def train(sample, folder, seed):
    (folder / "m").write_text("model")
    return {"file": "m", "engine": "onnx"}
"""


def test_the_function_of_the_project_file_trains(tmp_path):
    (tmp_path / "train.py").write_text(PROJECT)
    trained = train(spec(tmp_path, train="train.py:train"), sample(), tmp_path / "work", 0)
    assert trained == Trained(tmp_path / "work" / "m", "onnx")


@pytest.mark.parametrize(
    ("where", "message"),
    [("", "name a function"), ("train.py:trian", "did you mean 'train'"), ("train.py:HALF", "is not a function")],
)
def test_a_project_that_cannot_train_says_so(tmp_path, where, message):
    (tmp_path / "train.py").write_text(PROJECT)
    with pytest.raises(SpecError, match=message):
        train(spec(tmp_path, train=where), sample(), tmp_path / "work", 0)


def test_the_candidate_is_what_the_project_file_says_with_another_model(tmp_path):
    auc = Measurement("auc", 0.75, 100, 0.7, 0.8)
    trained = Trained(tmp_path / "m", "onnx", note="ten rounds", measured=(auc,))
    project = spec(engine="sklearn", preprocessing=("clip",), wrappers=("calibrated",))
    release, files = candidate(trained, project, "d" * 64, "p" * 64, 5.0, "schedule")
    assert files == {"model": tmp_path / "m"}
    assert release.artifacts == (Artifact("model", "", 0, engine="onnx", made_by="schedule"),)
    assert (release.name, release.parent, release.made_at, release.note) == ("flights", "p" * 64, 5.0, "ten rounds")
    assert (release.preprocessing, release.wrappers) == (("clip",), ("calibrated",))
    assert (release.data, release.measured) == ({"train": "d" * 64}, (auc,))
    assert release.signature == project.signature


def test_a_training_may_bring_its_own_wrappers():
    project = spec(wrappers=("calibrated",))
    release, _ = candidate(Trained(Path("m"), wrappers=()), project, "", "", 0.0, "me")
    assert release.wrappers == ()


def test_the_engine_of_the_project_file_runs_it_unless_another_is_named():
    release, _ = candidate(Trained(Path("m")), spec(engine={"onnx": {"threads": 2}}), "", "", 0.0, "me")
    assert release.artifacts[0].engine == "onnx:threads=2"
    assert [written(plan) for plan in ("", "onnx", {"onnx": None})] == ["", "onnx", "onnx"]


def test_where_the_server_listens_is_no_part_of_a_release():
    def at(**serving):
        project = Spec(spec().application, spec().data, spec().model, serving=Serving(**serving))
        return candidate(Trained(Path("m")), project, "", "", 0.0, "me")[0].digest

    assert at(port=8080) == at(port=9090)
    assert at(most_rows=1) != at(most_rows=2)


def test_the_registry_takes_the_candidate(tmp_path):
    trained = retrain(mean_model, sample(), tmp_path / "work", 0)
    with State.open(tmp_path / "state", "process") as state:
        registry = Registry(state)
        added = registry.add(*candidate(trained, spec(), "d" * 64, "", 5.0, "schedule"))
        assert registry.get(added.digest) == added
        assert registry.files(added)["model"].read_text() == "0.5 0"
