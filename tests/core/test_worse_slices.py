from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.stats import binomial_survival
from roadworthy.core.worse_slices import Facet, facets_of
from roadworthy.core.worse_slices import worse_slices as of_facets


def worse_slices(columns, losses, **how):
    return of_facets(facets_of(columns), losses, **how)


def columns(rng, n):
    return {
        "x": rng.normal(size=n),
        "few": rng.integers(0, 3, n).astype(float),
        "carrier": rng.choice(np.array(["AA", "UA", "B6", None], object), n),
        "origin": rng.choice(np.array(["JFK", "EWR"], object), n),
    }


def test_a_planted_slice_of_two_columns_is_found_and_nothing_else():
    rng = np.random.default_rng(0)
    given = columns(rng, 6000)
    bad = (given["carrier"] == "UA") & (given["few"] == 1)
    wrong = (rng.random(6000) < np.where(bad, 0.45, 0.1)).astype(float)
    (found,) = worse_slices(given, wrong)
    assert set(found.where.split(", ")) == {"carrier=UA", "few=1"}
    assert found.loss.n == bad.sum()
    assert found.loss.value == pytest.approx(wrong[bad].mean())
    assert found.elsewhere.value == pytest.approx(wrong[~bad].mean())
    assert found.excess == pytest.approx((wrong[bad].sum() - bad.sum() * wrong[~bad].mean()) / wrong.sum())
    assert found.loss.conditions["confidence"] == pytest.approx(1 - 0.05 / found.looked_at)


def test_numbers_are_cut_at_quantiles_and_null_is_a_slice():
    rng = np.random.default_rng(1)
    given = {"x": rng.normal(size=4000)}
    given["x"][:400] = np.nan
    wrong = (rng.random(4000) < np.where(np.isnan(given["x"]), 0.5, 0.1)).astype(float)
    assert worse_slices(given, wrong)[0].where == "x=null"
    wrong = (rng.random(4000) < np.where(given["x"] > 0.68, 0.5, 0.1)).astype(float)
    (found,) = worse_slices(given, wrong)
    assert found.where.startswith("x>=0.6")


@pytest.mark.parametrize("correction", ["holm", "benjamini-hochberg"])
@pytest.mark.parametrize("kind", ["wrong", "loss"])
def test_false_slices_are_as_rare_as_stated(correction, kind):
    draws, false = 40, 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        losses = (rng.random(600) < 0.05).astype(float) if kind == "wrong" else np.exp(3 * rng.normal(size=600))
        false += bool(worse_slices(columns(rng, 600), losses, alpha=0.05, at_least=30, correction=correction))
    assert binomial_survival(false, draws, 0.05) > 1e-3


def test_one_huge_loss_is_no_slice_and_a_shift_of_many_is():
    rng = np.random.default_rng(2)
    given = columns(rng, 3000)
    losses = rng.exponential(size=3000)
    losses[0] = 1e9
    assert worse_slices(given, losses, name="loss") == ()
    losses[given["origin"] == "JFK"] *= 2
    assert [found.where for found in worse_slices(given, losses, name="loss")] == ["origin=JFK"]


def test_unknown_losses_and_small_slices_are_left_out():
    rng = np.random.default_rng(3)
    given = columns(rng, 3000)
    bad = given["carrier"] == "UA"
    wrong = (rng.random(3000) < np.where(bad, 0.5, 0.1)).astype(float)
    assert worse_slices(given, np.where(bad, np.nan, wrong)) == ()
    assert worse_slices(given, wrong, at_least=1400) == ()
    assert worse_slices(given, wrong, at_least=600)[0].where == "carrier=UA"


def test_pairs_can_be_left_out_and_the_number_of_slices_limited():
    rng = np.random.default_rng(4)
    given = columns(rng, 6000)
    wrong = (rng.random(6000) < 0.1 + 0.3 * (given["few"] == 1) + 0.3 * (given["origin"] == "JFK")).astype(float)
    single = worse_slices(given, wrong, pairs=False)
    assert {found.where for found in single} == {"few=1", "origin=JFK"}
    assert len(worse_slices(given, wrong, pairs=False, most=1)) == 1
    assert single[0].looked_at < worse_slices(given, wrong)[0].looked_at


def test_nothing_to_tell_apart_finds_nothing():
    rng = np.random.default_rng(5)
    given = columns(rng, 500)
    assert worse_slices(given, np.zeros(500)) == ()
    assert worse_slices(given, np.full(500, np.nan)) == ()
    assert worse_slices({"v": rng.normal(size=(500, 3))}, (rng.random(500) < 0.5).astype(float)) == ()
    assert worse_slices({}, (rng.random(500) < 0.5).astype(float)) == ()


def test_infinite_and_constant_columns_do_no_harm():
    rng = np.random.default_rng(6)
    given = {"x": np.where(rng.random(2000) < 0.1, np.inf, rng.normal(size=2000)), "one": np.ones(2000)}
    wrong = (rng.random(2000) < np.where(np.isinf(given["x"]), 0.6, 0.05)).astype(float)
    assert worse_slices(given, wrong)[0].where.startswith("x>=")


def test_any_values_make_a_facet():
    rng = np.random.default_rng(7)
    hours = np.char.zfill(rng.integers(0, 24, 6000).astype(str), 2)
    wrong = (rng.random(6000) < np.where(hours == "07", 0.5, 0.1)).astype(float)
    (found,) = of_facets([Facet.of("hour", hours)], wrong)
    assert found.where == "hour=07"
    assert found.looked_at == 24


def test_a_few_errors_are_judged_by_the_exact_law():
    wrong = np.zeros(2000)
    wrong[:9] = 1.0
    thick = np.array(["left"] * 100 + ["right"] * 1900, object)
    (found,) = of_facets([Facet.of("side", thick)], wrong)
    # All nine errors within 100 of 2,000 rows, and two slices were looked at.
    assert found.p == pytest.approx(2 * np.prod([(100 - k) / (2000 - k) for k in range(9)]), rel=1e-6)


def test_a_value_that_all_rows_have_makes_no_slice_of_its_own_nor_a_pair():
    rng = np.random.default_rng(8)
    month, side = np.full(4000, "2013-06"), rng.choice(np.array(["left", "right"]), 4000)
    wrong = (rng.random(4000) < np.where(side == "left", 0.5, 0.1)).astype(float)
    (found,) = of_facets([Facet.of("month", month), Facet.of("side", side)], wrong)
    assert (found.where, found.looked_at) == ("side=left", 2)
