"""What else asks for a project's model minds that there may be several, or refuses with a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from roadworthy.cli.comparing import with_model
from roadworthy.cli.flows import lab_release, prepare, record_trust, release_model, trusting, without_cache
from roadworthy.cli.members import models_of
from roadworthy.cli.readying import of_project
from roadworthy.core.errors import Missing, SpecError
from roadworthy.core.project import read_project
from roadworthy.core.spec import Spec
from roadworthy.registry.exchange.mlflow_pyfunc import engine_of
from roadworthy.registry.releases import Registry
from roadworthy.store.events import read_events
from roadworthy.store.state import State

OWN = "model:\n  file: model/clinic.onnx\n  engine: onnx\n  train: train.py:train\n"
MEMBERS = """model:
  policy: {cascade: {levels: [{at: small, low: 0.1, high: 0.9}, {at: large}]}}
  members:
    small: {file: model/small.onnx, wrappers: [cache]}
    large: {file: model/clinic.onnx}
"""


@pytest.fixture
def several(clinic: Path) -> Spec:
    """The clinic with two models that answer together."""
    file = clinic / "roadworthy.yaml"
    (clinic / "model" / "small.onnx").write_bytes((clinic / "model" / "clinic.onnx").read_bytes())
    file.write_text(file.read_text().replace(OWN, MEMBERS))
    return read_project(clinic)


def test_the_engine_of_each_follows_from_its_file(several):
    assert {name: model.engine for name, model in models_of(several).items()} == {"small": "onnx", "large": "onnx"}
    (several.root / "model" / "small.bin").write_text("x")
    members = {**several.model.members, "small": replace(several.model.members["small"], file="model/small.bin")}
    odd = replace(several, model=replace(several.model, members=members))
    with pytest.raises(SpecError, match=r"'\.bin' files: name one as `model\.members\.small\.engine`"):
        lab_release(odd, 0.0, "test")


def test_what_is_prepared_includes_each_members_file(several):
    (several.root / "prepare.py").write_text("def make(root, say): say(f'made in {root.name}')\n")
    (several.root / "model" / "small.onnx").unlink()
    said: list[str] = []
    prepare(replace(several, prepare="prepare.py:make"), said.append)
    assert said == ["prepare: prepare.py:make", "made in clinic"]


def test_a_cache_in_a_member_is_left_out_where_it_would_flatter(several):
    assert without_cache(several).model.members["small"].wrappers == ()
    assert without_cache(without_cache(several)) == without_cache(several)


def test_a_policy_file_is_part_of_the_release(several):
    fit = several.root / "fit.json"
    level = {"reject_below": 0.1, "accept_from": 0.9}
    delegation = {"name": "delegation", "value": 0.3, "n": 500, "low": 0.2, "high": 0.4}
    told = {"target": {"precision": 0.9, "recall": 0.9}, "scope": "traffic", "levels": [level], "rows": 500}
    fit.write_text(json.dumps({**told, "labels": 500, "delegation": delegation, "certificate": "as drawn"}))
    spec = replace(several, model=replace(several.model, policy="cascade", policy_file="fit.json"))
    release, files = lab_release(spec, 0.0, "test")
    assert [one.name for one in release.artifacts] == ["small", "large", "policy"]
    with State.open(several.root / "state", "process") as state:
        registry = Registry(state)
        kept, live = release_model(spec, registry, 1.0, "test", "why")
        assert live
        assert registry.files(kept)["policy"].read_bytes() == fit.read_bytes()
        assert files["policy"] == fit


def test_the_projects_own_release_is_found_by_all_of_its_files(several):
    with State.open(several.root / "state", "process") as state:
        registry = Registry(state)
        kept, _ = release_model(several, registry, 1.0, "test", "why")
        assert of_project(several, registry.list()) == kept.digest
    (several.root / "model" / "small.onnx").write_bytes(b"another")
    assert of_project(several, [kept]) == ""


def test_one_model_may_be_compared_with_several(several):
    alone = with_model(several, several.root / "model" / "clinic.onnx")
    assert (alone.model.members, alone.model.policy) == ({}, None)
    assert [one.name for one in lab_release(alone, 0.0, "test")[0].artifacts] == ["model"]


def test_mlflow_holds_one_model_and_says_so(several):
    release, _ = lab_release(several, 0.0, "test")
    with pytest.raises(SpecError, match=r"several models that answer together \(small, large\)"):
        engine_of(release)


def test_trust_is_said_and_written_down_for_the_members_that_need_it(several):
    with pytest.raises(SpecError, match="'onnx' runs no code"):
        trusting(several)
    (several.root / "model" / "small.skops").write_bytes(b"x")
    members = {**several.model.members, "small": replace(several.model.members["small"], file="model/small.skops")}
    mixed = trusting(replace(several, model=replace(several.model, members=members)))
    assert models_of(mixed)["small"].engine == {"sklearn": {"trust": True}}
    assert models_of(mixed)["large"].engine == "onnx"
    with State.open(several.root / "state", "process") as state:
        assert record_trust(mixed, state, 1.0, "me")
        (event,) = read_events(state.engine, "trusted")
        assert event.data["file"] == "model/small.skops"


def test_a_fit_that_is_not_there_yet_names_the_command_that_writes_it_and_is_not_prepared(several):
    model = replace(several.model, policy={"cascade": {}}, policy_file="model/cascade.json")
    spec = replace(several, model=model, prepare="prepare.py:make")
    with pytest.raises(Missing, match=r"no '.*cascade\.json' yet: run `roadworthy cascade fit` first"):
        lab_release(spec, 0.0, "test")
    said: list[str] = []
    prepare(spec, said.append)
    assert said == []


def test_a_model_that_is_not_there_yet_names_what_prepares_it(several):
    (several.root / "model" / "small.onnx").unlink()
    with pytest.raises(
        Missing, match=r"no '.*small\.onnx' yet: run the project's `prepare` \(prepare\.py:make\) first"
    ):
        lab_release(replace(several, prepare="prepare.py:make"), 0.0, "test")
