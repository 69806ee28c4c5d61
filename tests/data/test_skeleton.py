"""The project file that `new` writes is read back as it is, and says what the table and the model told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from roadworthy.core.errors import BadData
from roadworthy.core.project import read_project
from roadworthy.core.spec import Columns, Field, Spec
from roadworthy.data.skeleton import quoted, skeleton, task_of


def written(folder: Path, **columns: Any) -> Path:
    (folder / "model.onnx").write_bytes(b"onnx")
    rows: dict[str, Any] = {"id": ["a", "b", "c"], "at": [1.0, 2.0, 3.0], "late": [0, 1, 0], **columns}
    pl.DataFrame(rows).write_parquet(folder / "t.parquet")
    return folder / "t.parquet"


def made(folder: Path, table: Path, **options: Any) -> Spec:
    text = skeleton(folder / "model.onnx", table, "late", root=folder, **options)
    (folder / "roadworthy.yaml").write_text(text, encoding="utf-8")
    return read_project(folder)


def test_the_text_is_a_project_that_reads_back(tmp_path: Path) -> None:
    spec = made(tmp_path, written(tmp_path, hour=[1, 2, 3], temp=[1.5, None, 2.0], where=["x", "y", "x"]), name="trial")
    assert (spec.application.name, spec.application.task) == ("trial", "binary")
    assert spec.application.inputs == {
        "hour": Field("integer"),
        "temp": Field(nullable=True),
        "where": Field("category", values=("x", "y")),
    }
    assert spec.data.columns == Columns("late", "id", "at")
    assert (spec.data.lab, spec.model.file, spec.model.engine) == ("t.parquet", "model.onnx", "onnx")


def test_every_line_of_the_head_of_a_section_has_a_comment(tmp_path: Path) -> None:
    text = skeleton(tmp_path / "model.onnx", written(tmp_path, x=[1.0, 2.0, 4.0]), "late", root=tmp_path)
    assert "# seen: 1 to 4" in text
    assert "# when the model is asked" in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_model_decides_order_and_kinds_and_the_rest_is_named(tmp_path: Path) -> None:
    table = written(tmp_path, a=[1, 2, 3], b=[1, 2, 3], spare=[1.0, 2.0, 3.0], c=["x", "y", "x"], d=[0, 1, 1])
    types = {"c": "BYTES", "b": "tensor(float)", "a": "tensor(int64)", "d": "BOOL"}
    spec = made(tmp_path, table, model_inputs=types)
    kinds = {name: field.kind for name, field in spec.application.inputs.items()}
    assert list(kinds.items()) == [("c", "category"), ("b", "number"), ("a", "integer"), ("d", "boolean")]
    assert "# the model does not take: spare" in (tmp_path / "roadworthy.yaml").read_text()


def test_names_alone_keep_the_kinds_of_the_table(tmp_path: Path) -> None:
    spec = made(tmp_path, written(tmp_path, a=[1, 2, 3], b=["x", "y", "x"]), model_inputs=["b", "a"])
    assert [(name, field.kind) for name, field in spec.application.inputs.items()] == [
        ("b", "category"),
        ("a", "integer"),
    ]


@pytest.mark.parametrize(
    ("types", "part"),
    [
        ({"tmep": "FP32"}, r"takes an input 'tmep'.*did you mean 'temp'\?"),
        ({"late": "FP32"}, "takes 'late' as an input, which is the label"),
    ],
)
def test_a_model_that_does_not_match_the_table_is_refused(tmp_path: Path, types: dict[str, str], part: str) -> None:
    with pytest.raises(BadData, match=part):
        made(tmp_path, written(tmp_path, temp=[1.0, 2.0, 3.0]), model_inputs=types)


def test_a_role_that_the_table_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no column 'att'; did you mean 'at'\?"):
        made(tmp_path, written(tmp_path, x=[1.0, 2.0, 3.0]), at="att")


def test_names_and_values_that_yaml_would_misread_survive(tmp_path: Path) -> None:
    odd = ["no", "1e3", "a: b", "# c", "", "é\n", "Y", "~", "2013-01-01", 'it\'s "so"']
    table = tmp_path / "t.parquet"
    (tmp_path / "model.onnx").write_bytes(b"")
    values = sorted(odd)
    rows: dict[str, Any] = {"late": [0, 1] * 10, "on": values * 2, "x: y": [1.0] * 20, "null": [1] * 20}
    pl.DataFrame(rows).write_parquet(table)
    inputs = made(tmp_path, table, name="yes").application.inputs
    assert list(inputs) == ["on", "x: y", "null"]
    assert inputs["on"].values == tuple(values)


def test_many_categories_are_written_over_several_lines(tmp_path: Path) -> None:
    names = [f"airport number {n}" for n in range(100)]
    (tmp_path / "model.onnx").write_bytes(b"")
    pl.DataFrame({"late": [0, 1] * 200, "dest": names * 4}).write_parquet(tmp_path / "t.parquet")
    assert made(tmp_path, tmp_path / "t.parquet").application.inputs["dest"].values == tuple(sorted(names))
    assert max(map(len, (tmp_path / "roadworthy.yaml").read_text().splitlines())) <= 120


def test_paths_are_relative_to_the_project_and_a_card_beside_the_model_is_named(tmp_path: Path) -> None:
    for folder in ("project", "models", "tables"):
        (tmp_path / folder).mkdir()
    (tmp_path / "models" / "m.skops").write_bytes(b"")
    (tmp_path / "models" / "README.md").write_text("card")
    table = written(tmp_path / "tables", x=[1.0, 2.0, 3.0])
    text = skeleton(tmp_path / "models" / "m.skops", table, "late", root=tmp_path / "project")
    (tmp_path / "project" / "roadworthy.yaml").write_text(text)
    model = read_project(tmp_path / "project").model
    assert (model.file, model.card, model.engine) == ("../models/m.skops", "../models/README.md", "sklearn")
    assert read_project(tmp_path / "project").application.name == "project"


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ([0, 1, 1], "binary"),
        ([True, None, False], "binary"),
        ([0, 1, 2], "multiclass"),
        (["cat", "dog", "cat"], "multiclass"),
        ([0.5, 1.25, 3.0], "regression"),
        (list(range(100)), "regression"),
    ],
)
def test_the_outcomes_tell_the_task(tmp_path: Path, labels: list[Any], task: str) -> None:
    pl.DataFrame({"y": labels}).write_parquet(tmp_path / "t.parquet")
    assert task_of(tmp_path / "t.parquet", "y") == task


@pytest.mark.parametrize("text", ["plain", "a-b.c/d", "No", "null", "1", "-", "a b", "x: y", "'", '"', "\t", "=", ""])
def test_quoted_text_is_read_back_as_the_same_text(text: str) -> None:
    assert yaml.safe_load(f"[{quoted(text)}]") == [text]
