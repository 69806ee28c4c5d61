"""Labels written as names become class numbers, or are refused with what would repair them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Columns, Field, Task
from roadworthy.data.labels import class_numbers, proposed
from roadworthy.data.tables import read_sample

INCOME = ("<=50K", ">50K")
PETS = ("cat", "dog", "fish")


def read(folder: Path, labels: list[Any], task: Task, classes: tuple[str, ...] = (), name: str = "t.csv") -> Sample:
    frame = pl.DataFrame({"x": np.arange(float(len(labels))), "y": labels}, strict=False)
    path = folder / name
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    return read_sample(path, Columns("y"), {"x": Field()}, task, classes)


def numbers(sample: Sample) -> list[float | None]:
    assert sample.labels is not None
    return [None if np.isnan(label) else label for label in sample.labels]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_names_become_the_numbers_of_the_classes_and_stay_as_text(tmp_path: Path, name: str) -> None:
    sample = read(tmp_path, ["dog", None, "cat", "fish"], "multiclass", PETS, name)
    assert numbers(sample) == [1, None, 0, 2]
    assert sample.targets is not None
    assert sample.targets.tolist() == ["dog", None, "cat", "fish"]
    part = sample.take(slice(2, 3))
    assert part.targets is not None
    assert part.targets.tolist() == ["cat"]


def test_of_two_classes_the_second_is_positive(tmp_path: Path) -> None:
    assert numbers(read(tmp_path, [">50K", "<=50K"], "binary", INCOME)) == [1, 0]


@pytest.mark.parametrize(
    ("labels", "classes", "found"),
    [
        ([2, None, 0], PETS, [2, None, 0]),
        ([2.0, 1.0, 0.0], PETS, [2, 1, 0]),
        ([True, False, None], INCOME, [1, 0, None]),
        ([3, 1, 2], ("1", "2", "3"), [2, 0, 1]),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_numbers_are_class_numbers_unless_they_are_names(
    tmp_path: Path, labels: list[Any], classes: tuple[str, ...], found: list[Any], name: str
) -> None:
    task: Task = "binary" if len(classes) == 2 else "multiclass"
    sample = read(tmp_path, labels, task, classes, name)
    assert numbers(sample) == found


def test_names_that_look_like_numbers_keep_their_zeros(tmp_path: Path) -> None:
    assert numbers(read(tmp_path, ["007", "010"], "binary", ("007", "010"))) == [0, 1]


def test_without_classes_names_are_refused_as_before(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"is String such as '>50K'; write it as a number .*or name its `classes`"):
        read(tmp_path, [">50K", "<=50K"], "binary")
    with pytest.raises(BadData, match=r"write it as a number$"):
        read(tmp_path, ["much", "little"], "regression")


def test_the_labels_of_adult_are_refused_with_the_cause(tmp_path: Path) -> None:
    with pytest.raises(BadData) as caught:
        read(tmp_path, [" <=50K."] * 3 + [" >50K."], "binary", INCOME)
    told = str(caught.value)
    assert "label 'y': 4 of 4 labels are no class: ' <=50K.' (3 rows), ' >50K.' (1 rows)" in told
    assert "the classes are '<=50K', '>50K'" in told
    assert 'stripping blanks and dropping the "." at the end would give all of them a class' in told


def test_only_what_is_wrong_is_told_and_only_the_repair_that_helps(tmp_path: Path) -> None:
    with pytest.raises(
        BadData, match=r"2 of 3 labels are no class: 'Dog' .*; .*ignoring upper and lower case"
    ) as caught:
        read(tmp_path, ["cat", "Dog", "bird"], "multiclass", PETS)
    assert "would give 1 of them a class" in str(caught.value)
    assert "blanks" not in str(caught.value)


def test_a_label_that_no_repair_helps_asks_for_the_names(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="Correct the labels, or name the classes"):
        read(tmp_path, ["cat", "bird"], "multiclass", PETS)


def test_a_number_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"1 of 2 labels are no class: '3' \(1 rows\)"):
        read(tmp_path, [0, 3], "multiclass", PETS)


def test_numbers_among_names_are_no_class_numbers(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"1 of 2 labels are no class: '1' \(1 rows\)"):
        read(tmp_path, ["cat", "1"], "multiclass", PETS)


def test_many_strange_labels_are_counted_and_the_commonest_shown() -> None:
    with pytest.raises(BadData, match="and 15 more; the classes are"):
        class_numbers(np.array([f"odd {k}" for k in range(20)], dtype=object), PETS, "here")


def test_a_repair_that_would_make_two_classes_one_is_not_proposed() -> None:
    assert proposed({"Us": 3}, ["us", "US"])[1] == 0


@pytest.mark.parametrize(
    ("task", "classes"), [("binary", PETS), ("multiclass", ("cat", "cat")), ("multiclass", ("cat",))]
)
def test_classes_that_cannot_be_are_refused(tmp_path: Path, task: Task, classes: tuple[str, ...]) -> None:
    with pytest.raises(BadData, match="`classes`"):
        read(tmp_path, ["cat", "dog"], task, classes)


def test_what_should_be_written_stays_text(tmp_path: Path) -> None:
    sample = read(tmp_path, ["007", None, "so it is"], "generation")
    assert sample.labels is None
    assert sample.targets is not None
    assert sample.targets.tolist() == ["007", None, "so it is"]


def test_labels_that_are_not_known_yet_are_no_error(tmp_path: Path) -> None:
    assert numbers(read(tmp_path, [None, None], "multiclass", PETS, "t.parquet")) == [None, None]
