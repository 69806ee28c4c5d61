from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.missing import Missing
from roadworthy.evaluate.spoiling import is_null
from roadworthy.testing.corruptions import mixed_sample

EARNED = np.arange(1000.0)


def people() -> Sample:
    rng = np.random.default_rng(0)
    return Sample({"earned": rng.permutation(EARNED), "age": rng.permutation(EARNED)})


def lost(form: str, severity: float = 0.4, seed: int = 0) -> tuple[Sample, np.ndarray]:
    sample = people()
    made = Missing(("earned",), form=form)  # type: ignore[arg-type]
    return sample, np.isnan(made(sample, severity, np.random.default_rng(seed)).columns["earned"])


@pytest.mark.parametrize("form", ["mcar", "mar", "mnar"])
def test_share_times_severity_of_a_column_is_null(form: str) -> None:
    assert lost(form)[1].mean() == pytest.approx(0.2, abs=0.04)


@pytest.mark.parametrize("form", ["mcar", "mar", "mnar"])
def test_a_higher_severity_takes_the_same_values_and_more(form: str) -> None:
    mild, harsh = lost(form, 0.2)[1], lost(form, 0.8)[1]
    assert harsh[mild].all()


def test_mnar_takes_one_end_of_the_column_itself() -> None:
    ends = set()
    for seed in range(8):
        sample, gone = lost("mnar", seed=seed)
        taken, left = sample.columns["earned"][gone], sample.columns["earned"][~gone]
        assert taken.max() < left.min() or taken.min() > left.max()
        ends.add("low" if taken.max() < left.min() else "high")
    assert ends == {"low", "high"}


def test_mar_takes_the_rows_at_one_end_of_another_column() -> None:
    sample, gone = lost("mar")
    taken, left = sample.columns["age"][gone], sample.columns["age"][~gone]
    assert taken.max() < left.min() or taken.min() > left.max()


def test_mcar_has_no_regard_to_the_value() -> None:
    sample, gone = lost("mcar", 1.0)
    assert abs(sample.columns["earned"][gone].mean() - EARNED.mean()) < 40


def test_mnar_of_a_category_takes_whole_values_first() -> None:
    sample = Sample({"town": np.array(["a", "b", "c", "d"] * 100, dtype=object)})
    gone = is_null(Missing(form="mnar")(sample, 1.0, np.random.default_rng(0)).columns["town"])
    assert len(set(sample.columns["town"][gone])) == 2


@pytest.mark.parametrize("form", ["mcar", "mar", "mnar"])
def test_no_rows_lose_nothing(form: str) -> None:
    sample = Sample({"x": np.empty(0), "y": np.empty(0)})
    assert Missing(form=form)(sample, 1.0, np.random.default_rng(0)).n == 0  # type: ignore[arg-type]


def test_columns_lose_their_values_apart_from_each_other() -> None:
    spoilt = Missing()(mixed_sample(2000), 1.0, np.random.default_rng(0))
    both = np.isnan(spoilt.columns["heat"]) & is_null(spoilt.columns["said"])
    assert both.mean() == pytest.approx(0.25, abs=0.04)


def test_an_image_is_missing_as_a_whole() -> None:
    gone = np.isnan(Missing(("seen",))(mixed_sample(), 1.0, np.random.default_rng(0)).columns["seen"])
    assert (gone.all(axis=1) == gone.any(axis=1)).all()
    assert 0.3 < gone.any(axis=1).mean() < 0.7
