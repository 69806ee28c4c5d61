from __future__ import annotations

import re

import numpy as np
import pytest

from roadworthy.core.window import Window
from roadworthy.observe.drift.upstream import faults

N = 1000


def columns(seed, n=N):
    rng = np.random.default_rng(seed)
    return {
        "temp": 55 + 18 * rng.normal(size=n),
        "amount": rng.lognormal(2, 0.8, n),
        "hour": rng.integers(0, 24, n).astype(float),
        "place": rng.choice(np.array(["north", "south", "east"], object), n),
        "tail": rng.choice(np.array([f"N{k}" for k in range(3000)], object), n),
    }


def window(seed, **changed):
    found = {**columns(seed), **changed}
    return Window(found, {}, np.full(N, np.nan), np.arange(N, dtype=float))


REFERENCE = window(0)
FRESH = columns(1)


def found_in(**changed):
    return {m.where: m for m in faults(REFERENCE, window(1, **changed))}


def test_the_same_world_has_no_faults_though_tail_numbers_are_new():
    assert found_in() == {}


def test_a_world_that_moved_is_no_fault():
    warmer = 0.6 * FRESH["temp"] + 50
    northern = np.where(np.arange(N) % 2 == 0, "north", FRESH["place"]).astype(object)
    assert found_in(temp=warmer, amount=1.5 * FRESH["amount"], place=northern) == {}


@pytest.mark.parametrize(
    ("name", "values", "fault", "told"),
    [
        ("temp", np.where(np.arange(N) % 3 == 0, np.nan, FRESH["temp"]), "null", "0% null became 33%"),
        ("temp", np.full(N, 55.5), "stuck", "55.5 was in 0.0% of rows and is in 100%"),
        ("temp", np.where(np.arange(N) % 4 == 0, -999.0, FRESH["temp"]), "stuck", "-999.0 was in 0.0% of rows"),
        ("temp", (FRESH["temp"] - 32) / 1.8, "unit", "from Fahrenheit to Celsius"),
        ("temp", FRESH["temp"] * 1000, "unit", "times 1,000"),
        ("amount", FRESH["amount"] / 100, "unit", "divided by 100"),
        ("amount", FRESH["amount"] * -1, "unit", "with the other sign"),
        ("place", np.full(N, None, object), "null", "became 100%"),
        (
            "place",
            np.where(np.arange(N) % 2 == 0, "North", FRESH["place"]).astype(object),
            "stuck",
            "'North' was in 0.0%",
        ),
        (
            "place",
            np.where(np.arange(N) % 8 == 0, "N", FRESH["place"]).astype(object),
            "new category",
            "'N' and others not in the reference are in 1",
        ),
    ],
)
def test_a_broken_column_is_named_with_what_happened_to_it(name, values, fault, told):
    found = found_in(**{name: values})
    assert set(found) == {name}
    assert found[name].conditions["fault"] == fault
    assert told in found[name].conditions["told"]
    assert found[name].value > 0.1


def test_a_column_that_vanished_is_gone():
    current = window(1)
    del current.inputs["hour"]
    (found,) = faults(REFERENCE, current)
    assert (found.where, found.value, found.conditions["fault"]) == ("hour", 1.0, "gone")


def test_one_column_that_jumps_alone_and_at_once_is_a_fault_and_a_slow_one_is_not():
    at_once = FRESH["temp"] - np.where(np.arange(N) > 600, 60.0, 0.0)
    slowly = FRESH["temp"] - np.linspace(0, 90, N)
    (found,) = faults(REFERENCE, window(1, temp=at_once), moved=["temp"])
    assert found.conditions["fault"] == "alone"
    assert re.search(r"from one row to the next, (39|40)\d rows ago", found.conditions["told"])
    assert faults(REFERENCE, window(1, temp=slowly), moved=["temp"]) == []
    assert faults(REFERENCE, window(1, temp=at_once), moved=["temp", "amount"]) == []


def test_few_rows_show_nothing():
    few = window(1).take(slice(0, 40))
    few.inputs["temp"][:] = np.nan
    assert faults(REFERENCE, few) == []
