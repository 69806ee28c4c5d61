"""What a project file names and is not there is found, whatever makes or defines it."""

from __future__ import annotations

from pathlib import Path

import pytest

from roadworthy.core.named_files import absent
from roadworthy.core.spec import Application, Columns, Data, Field, ModelSpec, Scenario, Spec


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    (tmp_path / "data").mkdir()
    for name in ("data/lab.csv", "data/production.csv", "model.onnx"):
        (tmp_path / name).write_text("x\n")
    application = Application("a", "binary", {"x": Field()})
    data = Data(Columns("y"), "data/lab.csv", "data/production.csv")
    return Spec(application, data, ModelSpec("model.onnx"), root=tmp_path)


def changed(spec: Spec, **fields: object) -> Spec:
    """The spec with other fields."""
    return Spec(**{name: getattr(spec, name) for name in spec.__struct_fields__} | fields)


def test_nothing_is_said_where_all_is_there(spec: Spec) -> None:
    assert list(absent(spec)) == []


def test_a_file_in_another_folder_is_the_nearest(spec: Spec) -> None:
    moved = changed(spec, data=Data(Columns("y"), "lab.csv", "data/production.csv"))
    ((place, told),) = absent(moved)
    assert place == ("data", "lab")
    assert told.endswith("did you mean 'data/lab.csv'?")


def test_tables_model_and_card_may_be_absent_where_prepare_makes_them(spec: Spec) -> None:
    (spec.root / "prepare.py").write_text("import train\nprepare, other = train.prepare, 1\n")
    (spec.root / "model.onnx").unlink()
    model = ModelSpec("model.onnx", card="README.md")
    assert [place for place, _ in absent(changed(spec, model=model))] == [("model", "file"), ("model", "card")]
    assert list(absent(changed(spec, model=model, prepare="prepare.py:prepare"))) == []


def test_a_leaf_of_the_project_is_looked_for_wherever_a_plan_may_stand(spec: Spec) -> None:
    plan = {"mine.py:Mine": {"x": 1}}
    model = ModelSpec("model.onnx", engine="mine.py:Mine", preprocessing=(plan,), wrappers=("cache", plan))
    scenario = Scenario("bad", 1.0, wrappers=(plan,))
    faulty = changed(spec, model=model, corruptions=(plan,), scenarios=(scenario,))
    assert [place for place, _ in absent(faulty)] == [
        ("model", "engine"),
        ("model", "preprocessing", 0),
        ("model", "wrappers", 1),
        ("corruptions", 0),
        ("scenarios", 0, "wrappers", 0),
    ]
    (spec.root / "mine.py").write_text("class Mine: ...\n")
    assert list(absent(faulty)) == []


def test_a_name_that_a_file_does_not_define_comes_with_those_that_it_does(spec: Spec) -> None:
    (spec.root / "train.py").write_text("def train(): ...\ndef measure(): ...\n")
    ((_, told),) = absent(changed(spec, model=ModelSpec("model.onnx", train="train.py:trane")))
    assert told == "'train.py' defines no 'trane'; did you mean 'train'? (it has: train, measure)"


def test_an_installed_function_is_left_to_its_import(spec: Spec) -> None:
    assert list(absent(changed(spec, model=ModelSpec("model.onnx", train="some.package:train")))) == []
