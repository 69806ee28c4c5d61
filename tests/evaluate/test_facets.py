"""A planted slice with 50 % errors is found; a model that errs alike everywhere is left in peace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.core.worse_slices import Facet, WorseSlice, worse_slices
from roadworthy.evaluate.slices import facets


def weak_slices(sample: Sample, losses: np.ndarray, **how: Any) -> tuple[WorseSlice, ...]:
    return worse_slices([Facet.of(name, values) for name, values in facets(sample)], losses, **how)


def table(seed: int, n: int = 4000) -> Sample:
    rng = np.random.default_rng(seed)
    job = rng.choice(np.array(["clerk", "farmer", "doctor", "smith"], dtype=object), n)
    town = rng.choice(np.array(["north", "south", "east", "west", "centre"], dtype=object), n)
    return Sample(
        {"job": job, "town": town, "age": rng.normal(40, 10, n), "hours": rng.integers(0, 9, n).astype(float)},
        at=1_370_000_000.0 + 600.0 * np.arange(n),
        tags={"source": rng.choice(np.array(["web", "app"], dtype=object), n)},
        fields={"job": Field("category"), "town": Field("category"), "age": Field(), "hours": Field("integer")},
    )


def errors(rows: np.ndarray, seed: int, inside: float = 0.5, outside: float = 0.1) -> np.ndarray:
    draw = np.random.default_rng(1000 + seed).random(len(rows))
    return (draw < np.where(rows, inside, outside)).astype(np.float64)


@pytest.mark.parametrize("correction", ["holm", "benjamini-hochberg"])
def test_a_planted_slice_is_found_and_is_the_only_one(correction: str) -> None:
    for seed in range(5):
        sample = table(seed)
        found = weak_slices(sample, errors(sample.columns["job"] == "farmer", seed), correction=correction)
        assert found[0].where == "job=farmer"
        assert found[0].loss.value == pytest.approx(0.5, abs=0.06)
        assert found[0].elsewhere.value == pytest.approx(0.1, abs=0.02)
        assert len(found) <= (1 if correction == "holm" else 2)


def test_a_planted_pair_is_found_as_a_pair() -> None:
    for seed in range(5):
        sample = table(seed)
        rows = (sample.columns["job"] == "farmer") & (sample.columns["town"] == "west")
        found = weak_slices(sample, errors(rows, seed))
        assert [f.where for f in found] == ["job=farmer, town=west"]
        assert found[0].loss.n == rows.sum()


def test_two_planted_slices_are_both_found() -> None:
    sample = table(0)
    rows = (sample.columns["job"] == "farmer") | (sample.tags["source"] == "web") & (sample.columns["town"] == "west")
    assert {f.where for f in weak_slices(sample, errors(rows, 0))} == {"job=farmer", "source=web, town=west"}


def test_a_range_of_a_number_is_found() -> None:
    sample = table(1)
    edge = np.quantile(sample.columns["age"], 0.75)
    found = weak_slices(sample, errors(sample.columns["age"] > edge, 1))
    assert [f.where.split("=")[0] for f in found] == ["age"]


@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_even_errors_raise_no_alarm(rate: float) -> None:
    alarms = sum(
        bool(weak_slices(table(seed, 1500), errors(np.zeros(1500, bool), seed, outside=rate), alpha=0.05))
        for seed in range(30)
    )
    # At most 5 % of 30 are expected: five or more have probability 1.6 %.
    assert alarms <= 4


def test_losses_with_a_long_tail_raise_no_alarm_and_a_planted_slice_does() -> None:
    alarms = 0
    for seed in range(15):
        sample, rng = table(seed, 1500), np.random.default_rng(seed)
        losses = rng.standard_t(1.5, 1500) ** 2
        alarms += bool(weak_slices(sample, losses, alpha=0.05))
        worse = losses + 3 * (sample.columns["town"] == "east")
        assert weak_slices(sample, worse)[0].where == "town=east"
    assert alarms <= 3


def test_rows_without_a_label_are_left_out() -> None:
    sample = table(2)
    wrong = errors(sample.columns["job"] == "farmer", 2)
    wrong[::2] = np.nan
    found = weak_slices(sample, wrong)
    assert (found[0].where, found[0].loss.n + found[0].elsewhere.n) == ("job=farmer", 2000)


def test_nothing_to_find_is_no_error() -> None:
    assert weak_slices(table(0), np.zeros(4000)) == ()
    assert weak_slices(table(0), np.full(4000, np.nan)) == ()
    assert weak_slices(Sample({"x": np.zeros(100)}), errors(np.zeros(100, bool), 0)) == ()
