"""Members and policy of a project file that do not go together are told with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from roadworthy.cli.catalogs import catalogs
from roadworthy.core.errors import SpecError
from roadworthy.core.project import read_project

HEAD = """application:
  name: late
  task: binary
  inputs:
    hour: {}
data: {columns: {label: late}, lab: lab.csv, production: lab.csv}
"""
CASCADE = "  policy: {cascade: {levels: [{at: small, low: 0.1, high: 0.9}, {at: large}]}}\n"
REMOTE = '{engine: {remote: {url: "http://localhost:1", model: m}}}'


@pytest.fixture
def write(tmp_path: Path):
    (tmp_path / "lab.csv").write_text("x\n")
    (tmp_path / "small.onnx").write_text("x\n")

    def written(model: str) -> Path:
        (tmp_path / "roadworthy.yaml").write_text(HEAD + "model:\n" + model)
        return tmp_path

    return written


def test_members_of_which_one_runs_elsewhere_are_read(write):
    where = write(f"{CASCADE}  members:\n    small: {{file: small.onnx, usd_per_1k: 0.5}}\n    large: {REMOTE}\n")
    spec = read_project(where, catalogs=catalogs())
    assert list(spec.model.members) == ["small", "large"]
    assert spec.model.members["small"].usd_per_1k == 0.5


@pytest.mark.parametrize(
    ("model", "line", "told"),
    [
        ("  policy: cascade\n", 8, "`model.policy` chooses among `model.members`, and there are none"),
        ("  file: small.onnx\n  policy_file: small.onnx\n", 9, "`model.policy_file` chooses among"),
        (CASCADE + "  members:\n    small: {file: small.onnx}\n", 9, "has one model only; write two or more"),
        (f"  members:\n    small: {{file: small.onnx}}\n    large: {REMOTE}\n", 8, "needs `model.policy`"),
        (
            f"{CASCADE}  file: small.onnx\n  members:\n    small: {{file: small.onnx}}\n    large: {REMOTE}\n",
            9,
            "`model.file` is of one model, and there are `members`",
        ),
        (
            f"{CASCADE}  train: t.py:train\n  members:\n    small: {{file: small.onnx}}\n    large: {REMOTE}\n",
            9,
            "`model.train` is of one model",
        ),
        (
            CASCADE + "  members:\n    small: {file: small.onnx}\n    large: {engine: onnx}\n",
            11,
            "the member 'large' has no `file`, and no engine that asks a model elsewhere",
        ),
        (
            CASCADE + "  members:\n    small: {file: small.onnx}\n    large: {}\n",
            11,
            "the member 'large' has no `file`",
        ),
        (
            f"{CASCADE}  members:\n    policy: {{file: small.onnx}}\n    large: {REMOTE}\n",
            10,
            "the member 'policy' cannot be called so",
        ),
        (
            f"{CASCADE}  members:\n    small: {{file: small.onnx, usd_per_1k: -1.0}}\n    large: {REMOTE}\n",
            10,
            "`usd_per_1k` of member 'small' must be 0 or more",
        ),
        (
            f"{CASCADE.replace('cascade', 'cascad')}  members:\n    small: {{file: small.onnx}}\n    large: {REMOTE}\n",
            8,
            "no policy named 'cascad'; did you mean 'cascade'",
        ),
        (
            f"{CASCADE}  members:\n    small: {{file: smal.onnx}}\n    large: {REMOTE}\n",
            10,
            "no file 'smal.onnx'.*did you mean 'small.onnx'",
        ),
        (
            f"{CASCADE}  policy_file: fit.json\n  members:\n    small: {{file: small.onnx}}\n    large: {REMOTE}\n",
            9,
            "no file 'fit.json'",
        ),
    ],
)
def test_each_mistake_is_told_with_its_line(write, model, line, told):
    where = write(model)
    with pytest.raises(SpecError, match=f"roadworthy.yaml:{line}: .*{told}"):
        read_project(where, catalogs=catalogs())
