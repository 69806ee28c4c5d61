"""The Adult benchmark on a file of its shape: the figures themselves need the recorded data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gap.adult import FAULTS, NAMES, NUMBERS, as_delivered, faults, read_adult
from roadworthy.core.errors import BadData


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tables in which a category and a number decide, written as UCI writes them."""
    folder, rng = tmp_path_factory.mktemp("adult"), np.random.default_rng(0)
    for name, stop in (("train", ""), ("test", ".")):
        lines = ["|1x3 Cross validator"] if name == "test" else []
        for _ in range(600):
            values = {n: f"{rng.integers(1, 90)}" if n in NUMBERS else str(rng.choice(["One", "Two"])) for n in NAMES}
            rich = (values["sex"] == "Two") + int(values["age"]) / 90 + rng.normal(0, 0.4) > 1
            lines.append(", ".join([*values.values(), (">50K" if rich else "<=50K") + stop]))
        (folder / f"adult-{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_file_is_read_as_it_is_or_cleaned(data: Path) -> None:
    raw, clean = (read_adult(data / "adult-test.csv", cleaned) for cleaned in (False, True))
    assert raw.n == 600
    assert set(raw.columns["sex"]) == {" One", " Two"}
    assert set(clean.columns["sex"]) == {"One", "Two"}
    assert raw.columns["age"].dtype == np.float64
    assert raw.of_kind("number") == NUMBERS


def test_labels_are_told_from_texts_that_end_in_a_point(data: Path) -> None:
    test, train = (read_adult(data / f"adult-{name}.csv", cleaned=False) for name in ("test", "train"))
    assert test.targets is not None
    assert train.targets is not None
    assert set(test.targets) == {" >50K.", " <=50K."}
    assert not set(test.targets) & set(train.targets)
    assert test.labels is not None
    np.testing.assert_array_equal(test.labels == 1, test.targets == " >50K.")


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadData, match="no row of 15 values"):
        read_adult(tmp_path / "other.csv", cleaned=True)


def test_the_repair_brings_back_what_the_blanks_took(data: Path) -> None:
    clean, delivered, repaired = as_delivered(data)
    assert clean.value > 0.85
    assert delivered.high < clean.low
    assert repaired.value == clean.value
    assert repaired.name == "adult_repaired_auc"


def test_every_fault_is_measured_before_and_after(data: Path) -> None:
    found = faults(data)
    assert [fault for fault, _, _ in found] == list(FAULTS)
    assert all(before.n == after.n == 600 for _, before, after in found)
    upper = next(pair for fault, *pair in found if fault.name == "categories in upper case")
    assert upper[1].value > upper[0].value + 0.05
