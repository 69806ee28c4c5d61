"""Columns that know the future are found, by their times and by what they tell; honest ones are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Columns
from roadworthy.data.leaks import late_columns, late_table, telling, telling_columns

N = 2000
NOON = datetime(2013, 5, 1, 12, tzinfo=UTC)


def sample(**columns: NDArray[Any]) -> tuple[Sample, NDArray[np.float64]]:
    """A weakly predictable outcome with one honest column `x`, and the columns given."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    labels = (x + 2 * rng.normal(size=N) > 0).astype(np.float64)
    return Sample({"x": x, "noise": rng.normal(size=N), **columns}, labels), labels


def leaking(leak: NDArray[Any]) -> list[str]:
    return [found.column for found in telling_columns(sample(leak=leak)[0])]


def test_honest_columns_are_not_told() -> None:
    assert telling_columns(sample()[0]) == []


def test_the_outcome_itself_is_told_in_any_disguise() -> None:
    labels = sample()[1]
    rng = np.random.default_rng(1)
    assert leaking(labels) == ["leak"]
    assert leaking(-10 * labels + rng.normal(size=N)) == ["leak"]
    assert leaking(np.where(labels == 1, 0.0, rng.choice([-5.0, 5.0], N))) == ["leak"]
    assert leaking(np.where(labels == 1, np.nan, rng.normal(size=N))) == ["leak"]
    assert leaking(np.where(labels == 1, "landed", "gone").astype(object)) == ["leak"]
    assert leaking(np.array([None if y else "x" for y in labels], dtype=object)) == ["leak"]


def test_a_column_far_above_the_next_best_is_told_with_its_number() -> None:
    labels = sample()[1]
    rng = np.random.default_rng(1)
    spoilt = Sample({"noise": rng.normal(size=N), "leak": labels + rng.normal(0, 0.8, N)}, labels)
    (found,) = telling_columns(spoilt)
    assert "far above the next best" in found.because
    assert found.measured is not None
    assert 0.75 < found.measured.value < 0.9


def test_an_identifier_tells_nothing_because_it_is_scored_on_other_rows() -> None:
    names = np.array([f"row {n}" for n in range(N)], dtype=object)
    assert abs(telling(names, sample()[1]).value - 0.5) < 0.05


def test_a_column_of_nulls_tells_nothing() -> None:
    assert telling(np.full(N, np.nan), sample()[1]).value == 0.5


def test_one_class_only_tells_nothing() -> None:
    assert telling_columns(Sample({"x": np.arange(10.0)}, np.zeros(10))) == []


def test_unlabelled_rows_are_left_out_and_a_sample_without_labels_is_refused() -> None:
    whole, labels = sample()
    half = np.where(np.arange(N) < N // 2, labels, np.nan)
    assert telling_columns(Sample({**whole.columns, "leak": labels}, half))[0].column == "leak"
    with pytest.raises(BadData, match="no labels"):
        telling_columns(Sample(whole.columns))


def test_a_source_known_after_it_was_needed_is_told_with_how_late() -> None:
    at = np.array([0.0, 3600.0, 7200.0])
    known = {"weather": np.array([0.0, np.nan, 7200.0]), "delay": np.array([0.0, 3600.0, 7200.0 + 5400.0])}
    (found,) = late_columns(at, known)
    assert found.column == "delay"
    assert found.because == "1 of 3 rows were known only after they were needed, up to 1.5 h"


def test_a_table_says_in_its_columns_when_its_sources_were_known(tmp_path: Path) -> None:
    early, late = [NOON - timedelta(hours=1), None], [NOON, NOON + timedelta(minutes=30)]
    table = {"at": [NOON, NOON], "known_at": [NOON + timedelta(hours=9)] * 2, "weather_known_at": early}
    columns = Columns("y", at="at", known_at="known_at")
    pl.DataFrame(table).write_parquet(tmp_path / "good.parquet")
    assert late_table(tmp_path / "good.parquet", columns) == []
    pl.DataFrame({**table, "delay_known_at": late}).write_parquet(tmp_path / "bad.parquet")
    assert [leak.column for leak in late_table(tmp_path / "bad.parquet", columns)] == ["delay"]


def test_a_table_that_does_not_say_proves_nothing_and_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"at": [NOON], "known_at": [NOON]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(BadData, match="does not say when its inputs were known"):
        late_table(tmp_path / "t.parquet", Columns("y", at="at", known_at="known_at"))
