"""The cascade project is what its README says: three scanners, a teacher and its pupil, prices that were measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from sklearn.datasets import load_digits

from roadworthy.core.catalog import load
from roadworthy.core.project import read_project
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Spec
from roadworthy.data.tables import read_sample

EXAMPLE = Path(__file__).parents[2] / "examples" / "cascade"
FILES = ("roadworthy.yaml", "routed.yaml", "precision.yaml")
pytestmark = pytest.mark.slow


def code(name: str) -> Any:
    """A function of the example: `prepare.py:table`."""
    return load(name, EXAMPLE)


def sample(root: Path, spec: Spec, name: str) -> Sample:
    asked = spec.application
    return read_sample(root / "data" / f"{name}.parquet", spec.data.columns, asked.inputs, asked.task, asked.classes)


def answers(root: Path, name: str, rows: Sample) -> NDArray[np.int64]:
    session = InferenceSession(root / "model" / f"{name}.onnx")
    _, probabilities = session.run(None, {"X": rows.columns["pixels"].astype(np.float32)})
    return np.asarray(np.asarray(probabilities).argmax(axis=1), np.int64)


def test_the_three_project_files_are_one_deployment_with_three_policies() -> None:
    found = [read_project(EXAMPLE / name) for name in FILES]
    assert all(spec.application == found[0].application and spec.data == found[0].data for spec in found)
    assert [next(iter(spec.model.policy)) for spec in found] == ["cascade", "routed", "precision"]


def test_the_tables_share_no_image_with_each_other_or_with_what_was_learnt(root: Path) -> None:
    tables = {name: pl.read_parquet(root / "data" / f"{name}.parquet") for name in ("lab", "production", "arriving")}
    numbers = {name: {int(id.split("-")[1]) for id in table["id"]} for name, table in tables.items()}
    assert sum(map(len, numbers.values())) == len(set.union(*numbers.values()))
    assert min(set.union(*numbers.values())) == 700
    truth = load_digits().target
    assert all((truth[sorted(n)] >= 0).all() for n in numbers.values())
    one = tables["arriving"].row(0, named=True)
    assert one["digit"] == truth[int(one["id"].split("-")[1])]


def test_the_lab_knows_no_phone_and_a_third_of_what_arrives_is_one(root: Path) -> None:
    lab, arriving = (pl.read_parquet(root / "data" / f"{name}.parquet")["scanner"] for name in ("lab", "arriving"))
    assert set(lab) == {"desk", "hall"}
    assert (arriving == "phone").mean() == pytest.approx(1 / 3)


def test_the_large_model_is_better_and_the_more_so_the_worse_the_scanner(root: Path, spec: Spec) -> None:
    rows = sample(root, spec, "arriving")
    assert rows.labels is not None
    gaps = {}
    for name in ("desk", "phone"):
        mine = rows.take(np.flatnonzero(rows.tags["scanner"] == name))
        assert mine.labels is not None
        right = [float((answers(root, model, mine) == mine.labels).mean()) for model in ("small", "large")]
        gaps[name] = right[1] - right[0]
    assert gaps["phone"] > gaps["desk"] > 0


def test_eight_bits_answer_nearly_as_32_do_whatever_else_is_in_the_batch(root: Path, spec: Spec) -> None:
    rows = sample(root, spec, "arriving").take(slice(0, 200))
    rounded = answers(root, "large-int8", rows)
    assert (rounded == answers(root, "large", rows)).mean() > 0.98
    alone = [int(answers(root, "large-int8", rows.take(slice(k, k + 1)))[0]) for k in range(50)]
    assert alone == rounded[:50].tolist()


def test_prices_stand_in_the_order_of_what_was_measured(told: list[str], root: Path) -> None:
    measured = {line.split(":")[0]: float(line.split(", ")[1].split(" ")[0]) for line in told if " USD " in line}
    written: dict[str, float] = {}
    for name in FILES:
        written |= {name: one.usd_per_1k for name, one in read_project(EXAMPLE / name).model.members.items()}
    assert sorted(measured, key=measured.__getitem__) == sorted(written, key=written.__getitem__)


def test_a_worse_scanner_leaves_less_of_an_image_and_one_seed_gives_one_table() -> None:
    images = load_digits().data[:50].astype(np.float32)
    scanned = code("prepare.py:scanned")
    far = [np.abs(scanned(images, bad, np.random.default_rng(0)) - images).mean() for bad in (0.0, 0.1, 0.5, 1.0)]
    assert far[0] == 0
    assert far == sorted(far)
    again = scanned(images, 1.0, np.random.default_rng(0))
    assert (again == scanned(images, 1.0, np.random.default_rng(0))).all()
    assert again.min() >= 0
    assert again.max() <= 16
