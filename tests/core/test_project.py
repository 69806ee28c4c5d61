"""A project file is read into a Spec, or refused with the line, what is allowed and the nearest name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.project import UNITS, read_project
from roadworthy.core.spec import Field, Monitor, Stage
from roadworthy.observe.base import detector

GOOD = """\
application:
  name: flights
  task: binary
  inputs:
    carrier: {kind: category, values: [AA, UA]}
    hour: {low: 0, high: 23}
  requirements:
    - {metric: auc, at_least: 0.7}
    - metric: p99_ms
      at_most: 50
      unit: ms
    - {metric: log_loss, at_most: 0.5}
data:
  lab: lab.csv
  production: production.csv
  columns:
    label: late
    tags: [carrier]
model:
  file: model.onnx
  train: train.py:train
rollout:
  stages:
    - {mode: shadow, hours: 36}
    - {mode: canary, share: 0.1, hours: 24}
monitor:
  detectors: [{psi: {bins: 5}}]
retrain:
  alarms: [psi]
"""
FILES = ("lab.csv", "production.csv", "model.onnx")

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    for name in FILES:
        (tmp_path / name).write_text("x\n")
    (tmp_path / "train.py").write_text("def train(sample, folder, seed): ...\n")

    def written(text: str) -> Path:
        (tmp_path / "roadworthy.yaml").write_text(text)
        return tmp_path / "roadworthy.yaml"

    return written


def refused(file: Path, line: int, *parts: str, **options: Any) -> str:
    """The fault at a line, which must hold all the parts."""
    with pytest.raises(SpecError) as caught:
        read_project(file, **options)
    told = [one for one in str(caught.value).split("\n") if one.startswith(f"{file}:{line}: ")]
    assert told, f"nothing said about line {line}: {caught.value}"
    assert all(part in told[0] for part in parts), told[0]
    return told[0]


def test_a_good_file_becomes_a_spec_with_its_root(write: Write) -> None:
    spec = read_project(write(GOOD))
    assert spec.application.inputs == {
        "carrier": Field("category", values=("AA", "UA")),
        "hour": Field(low=0.0, high=23.0),
    }
    assert spec.rollout.stages[1] == Stage("canary", 0.1, 24.0)
    assert spec.monitor == Monitor(detectors=({"psi": {"bins": 5}},))
    assert spec.root == write(GOOD).parent


def test_a_folder_means_its_roadworthy_yaml(write: Write) -> None:
    file = write(GOOD)
    assert read_project(file.parent) == read_project(file)


def test_a_left_out_unit_is_that_of_the_metric(write: Write) -> None:
    assert [r.unit for r in read_project(write(GOOD)).application.requirements] == ["1", "ms", "nats"]


@pytest.mark.parametrize(
    ("old", "new", "line", "parts"),
    [
        (
            "  task: binary",
            "  taks: binary",
            3,
            ("no key 'taks'", "did you mean 'task'?", "allowed: name, task"),
        ),
        ("  task: binary", "  taks: binary", 1, ("`application` lacks the key 'task'",)),
        ("high: 23", "hihg: 23", 6, ("no key 'hihg' in `application.inputs.hour`", "did you mean 'high'?")),
        ("retrain:", "retrian:", 28, ("no key 'retrian' in the file", "did you mean 'retrain'?")),
        ("task: binary", "task: binry", 3, ("one of binary, multiclass", "found 'binry'", "did you mean 'binary'?")),
        ("name: flights", "name: 3", 2, ("`application.name` must be text, found 3", "quotes")),
        ("name: flights", "name:", 2, ("must be text, found None",)),
        ("hours: 36", "hours: long", 24, ("`rollout.stages[0].hours` must be a number, found 'long'",)),
        ("hours: 36", "hours: 1e1", 24, ("must be a number, found '1e1'", "write 10.0")),
        ("hours: 36", "hours: .nan", 24, ("must be a finite number",)),
        ("tags: [carrier]", "tags: carrier", 18, ("`data.columns.tags` must be a list, found 'carrier'",)),
        ("  columns:\n    label: late\n    tags: [carrier]", "  columns: late", 16, ("must be a mapping", "'late'")),
        ("unit: ms", "unit: s", 11, ("`p99_ms` is measured in 'ms', found the unit 's'", "write `unit: ms`")),
        (", share: 0.1", "", 25, ("`share` of a canary must be above 0",)),
        (", at_least: 0.7}", "}", 8, ("needs `at_least` or `at_most`",)),
        (
            "  file: model.onnx",
            "  file: model.onnx\n  file: other.onnx",
            21,
            ("'file' is given twice", "line 20"),
        ),
        ("    hour:", "    on:", 6, ("the key 'on'", "is read as True; put it in quotes")),
        ("    hour:", "    late:", 6, ("'late' is the `label` column",)),
        ("[{psi: {bins: 5}}]", "[{psi: {}, ks: {}}]", 27, ("a plan is a name", "'ks'")),
        ("alarms: [psi]", "alarms: [psy]", 29, ("no detector 'psy' in `monitor.detectors`", "did you mean 'psi'?")),
        ("lab: lab.csv", "lab: lap.csv", 14, ("no file 'lap.csv'", "did you mean 'lab.csv'?")),
        ("lab: lab.csv", "lab: data/production.csv", 14, ("no file 'data/production.csv'", "'production.csv'")),
        ("file: model.onnx", "file: modle.onnx", 20, ("no file 'modle.onnx'", "did you mean 'model.onnx'?")),
        ("train.py:train", "trian.py:train", 21, ("no file 'trian.py'", "did you mean 'train.py'?")),
        ("train.py:train", "train.py:trian", 21, ("'train.py' defines no 'trian'", "did you mean 'train'?")),
        ("monitor:", "root: /tmp\nmonitor:", 26, ("no key 'root' in the file",)),
        ("  task: binary", "\ttask: binary", 3, ("tab",)),
        ("  task: binary", "  task: [binary", 4, ("expected ',' or ']'",)),
        ("name: flights", "name: !!python/name:os.system", 2, ("`application.name` cannot be read",)),
    ],
)
def test_a_mistake_is_told_with_its_line(write: Write, old: str, new: str, line: int, parts: tuple[str, ...]) -> None:
    assert GOOD.count(old) == 1
    refused(write(GOOD.replace(old, new)), line, *parts)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(write: Write) -> None:
    file = write(GOOD.replace("high: 23", "hihg: 23").replace("hours: 36", "hours: x").replace("file: m", "flie: m"))
    with pytest.raises(SpecError) as caught:
        read_project(file)
    assert re.findall(r"yaml:(\d+):", str(caught.value)) == ["6", "20", "24"]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("", 1, "the file is empty"),
        ("  \n\n", 1, "the file is empty"),
        ("# nothing\n", 1, "only comments"),
        ("- a\n- b\n", 1, "the file must be a mapping (`key: value`), found a list"),
        ("just words\n", 1, "found 'just words'"),
        ("a: 1\n---\nb: 2\n", 2, "but found another document"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(write: Write, text: str, line: int, part: str) -> None:
    refused(write(text), line, part)


def test_a_file_in_another_encoding_is_refused_with_the_line(write: Write) -> None:
    file = write("")
    file.write_bytes(b"application:\n  name: caf\xe9\n")
    refused(file, 2, "0xe9 is not UTF-8")


def test_a_file_that_is_not_there_names_the_nearest(write: Write) -> None:
    file = write(GOOD)
    refused(file.parent / "roadwrthy.yaml", 1, "no such project file; did you mean 'roadworthy.yaml'?")


def test_an_empty_folder_says_how_to_begin(tmp_path: Path) -> None:
    refused(tmp_path / "roadworthy.yaml", 1, "`roadworthy new` writes one")


def test_what_prepare_makes_may_be_absent_but_not_prepare_itself(write: Write) -> None:
    file = write(GOOD + "prepare: prepare.py:prepare\n")
    for name in FILES:
        (file.parent / name).unlink()
    refused(file, 30, "no file 'prepare.py'")
    (file.parent / "prepare.py").write_text("from train import train as prepare\n")
    assert read_project(file).prepare == "prepare.py:prepare"


def test_code_that_is_not_python_is_told_without_running_it(write: Write) -> None:
    file = write(GOOD)
    (file.parent / "train.py").write_text("raise SystemExit\ndef train(:\n")
    refused(file, 21, "'train.py' is not readable as Python")


def test_the_code_of_a_scenario_is_looked_for_too(write: Write) -> None:
    scenario = "scenarios:\n  - name: bad\n    day: 3\n    wrappers: [faults.py:Flaky]\n"
    refused(write(GOOD + scenario), 33, "no file 'faults.py'")


def test_files_are_not_looked_for_when_told_so(write: Write) -> None:
    assert read_project(write(GOOD.replace("lab.csv", "gone.csv")), check_files=False).data.lab == "gone.csv"


def test_with_catalogs_a_plan_must_name_a_leaf_and_its_settings(write: Write) -> None:
    known = {"detector": detector}
    assert read_project(write(GOOD), catalogs=known).monitor.detectors == ({"psi": {"bins": 5}},)
    refused(write(GOOD.replace("{psi: {", "{psii: {").replace("[psi]", "[psii]")), 27, "'psi'", catalogs=known)
    refused(write(GOOD.replace("bins: 5", "bin: 5")), 27, "no setting 'bin'; did you mean 'bins'?", catalogs=known)


def test_anchors_and_merge_keys_are_read_as_yaml_has_them(write: Write) -> None:
    text = GOOD.replace("{low: 0, high: 23}", "&hour {low: 0, high: 23}\n    minute: {<<: *hour, high: 59}")
    assert read_project(write(text)).application.inputs["minute"] == Field(low=0.0, high=59.0)


def test_every_known_metric_has_a_unit_that_a_requirement_may_state(write: Write) -> None:
    for metric, unit in UNITS.items():
        text = GOOD.replace("{metric: auc, at_least: 0.7}", f"{{metric: {metric}, at_most: 1, unit: {unit!r}}}")
        assert read_project(write(text)).application.requirements[0].unit == unit


def test_a_spec_knows_its_file_so_that_another_process_opens_the_same(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(GOOD)
    assert read_project(tmp_path / "other.yaml", check_files=False).file == tmp_path / "other.yaml"
    (tmp_path / "roadworthy.yaml").write_text(GOOD)
    assert read_project(tmp_path, check_files=False).file == tmp_path / "roadworthy.yaml"
    (tmp_path / "named.yaml").write_text(GOOD + "\nname: other.yaml\n")
    with pytest.raises(SpecError, match="name"):
        read_project(tmp_path / "named.yaml", check_files=False)
