"""Mix against rate, and which dimension leads."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.observe.root_cause.dimensions import dimensions, without_aliases
from roadworthy.observe.root_cause.expected import expected
from roadworthy.observe.root_cause.metric_rows import metric_rows
from roadworthy.observe.root_cause.mix_rate import by_dimension, split_of
from roadworthy.testing.incidents import frame

HEAVY = {"acme": 0.1, "birch": 0.1, "cobalt": 0.1, "delta": 0.7}


def parts(seed: int = 0, **fault):
    rng = np.random.default_rng(seed)
    now, before = frame(5000, rng, 3600, 4200, **fault), frame(15_000, rng, 0, 3600)
    rows = metric_rows("mean", now, before)
    dims = without_aliases([d.take(rows.now, rows.before) for d in dimensions(now, before)])
    given = expected(dims, rows)
    split = split_of(given)
    used = [d for d in dims if d.role != "happened" or d.name == "cache"]
    return split, {each.dimension: each for each in by_dimension(used, given, split.increase)}


@pytest.mark.parametrize("fault", [{"tenants": HEAVY}, {"longer": 3.0}, {"hits": 0.0}])
def test_what_more_of_the_dear_kinds_brings_is_mix(fault):
    split, _ = parts(**fault)
    assert split.mix > 0.75
    assert split.mix + split.rate == pytest.approx(1.0)


@pytest.mark.parametrize("fault", [{"slow": {"tenant": "acme"}}, {"host": 2.0}])
def test_what_gets_slower_alike_is_rate(fault):
    split, _ = parts(**fault)
    assert abs(split.mix) < 0.15


def test_the_two_parts_of_a_dimension_are_the_whole_increase():
    _, found = parts(tenants=HEAVY)
    for each in found.values():
        assert each.mix + each.rate == pytest.approx(1.0, abs=0.02), each.dimension


def test_mix_by_hand():
    """Two kinds, 1 s and 3 s, from half and half to 1:3: the mean rises by 0.5 s, all of it mix."""
    import polars as pl

    rng = np.random.default_rng(0)

    def of(share: float) -> pl.DataFrame:
        dear = np.arange(4000) < 4000 * share
        total = np.where(dear, 3.0, 1.0) + rng.normal(0, 0.001, 4000)
        kind = np.where(dear, "dear", "cheap")
        return pl.DataFrame({"id": kind, "at": rng.uniform(0, 60, 4000), "seconds.total": total, "tags.kind": kind})

    now, before = of(0.75), of(0.5)
    rows = metric_rows("mean", now, before)
    dims = dimensions(now, before)
    given = expected(dims, rows)
    split = split_of(given)
    assert split.increase == pytest.approx(0.5, abs=0.01)
    assert split.mix == pytest.approx(1.0, abs=0.01)
    (kind,) = by_dimension(dims, given, split.increase)
    assert kind.value == "kind=dear"
    assert (kind.share_before, kind.share_now) == (0.5, 0.75)
    assert kind.brings == pytest.approx(1.0, abs=0.01)


def test_longer_texts_of_all_tenants_follow_nobody():
    _, found = parts(longer=3.0)
    assert found["tokens"].follows == ""
    assert found["tokens"].value.startswith("tokens>")


def test_the_texts_of_a_tenant_that_came_more_often_follow_it():
    _, found = parts(tenants=HEAVY)
    assert found["tokens"].follows == "tenant"
    assert found["tenant"].follows == ""
    assert found["tenant"].value == "tenant=delta"


def test_a_new_release_is_no_mix():
    _, found = parts(slow={"release": "bb" * 32}, canary=0.4)
    assert abs(found["release"].mix) < 0.15


def test_no_increase_has_no_parts():
    rng = np.random.default_rng(0)
    same = frame(500, rng)
    rows = metric_rows("mean", same, same)
    given = expected(dimensions(same, same), rows)
    assert split_of(given).increase == 0.0
    assert by_dimension(dimensions(same, same), given, 0.0) == []
