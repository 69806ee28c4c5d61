"""What was full in a window, against before."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.observe.root_cause.host import HostSample
from roadworthy.observe.root_cause.saturation import host_evidence, saturation
from roadworthy.testing.incidents import frame


def of(others: float, n: int = 20, **more: float) -> list[HostSample]:
    rng = np.random.default_rng(0)
    return [HostSample(float(k), others=others + 0.02 * rng.normal(), **more) for k in range(n)]


def read(now: list[HostSample], before: list[HostSample], seconds: tuple[float, float] = (600.0, 3600.0), **fault):
    rng = np.random.default_rng(0)
    found = saturation(frame(1000, rng, **fault), frame(6000, rng), now, before, seconds)
    return {reading.name: reading for reading in found}


def test_others_on_the_machine_are_evidence_by_how_much_they_took():
    found = read(of(0.7), of(0.1))
    strength, said = host_evidence(found.values())
    assert strength == 1.0
    assert said.startswith("other processes took 7")
    assert host_evidence(read(of(0.22), of(0.1)).values())[0] == pytest.approx(0.3, abs=0.1)


def test_a_quiet_machine_is_no_evidence():
    assert host_evidence(read(of(0.1), of(0.1)).values()) == (0.0, "")
    assert host_evidence(read([], []).values()) == (0.0, "")


def test_tasks_that_wait_for_a_core_are_evidence_where_all_of_it_was_busy_before():
    found = read(of(0.97, runnable=4.0), of(0.95, runnable=1.0))
    strength, said = host_evidence(found.values())
    assert strength == 1.0
    assert said == "4.0 tasks wanted each core, against 1.0"


def test_a_cache_that_knows_less_and_longer_texts_have_moved():
    found = read([], [], hits=0.1, longer=2.0)
    assert found["cache_hit_share"].moved
    assert found["cache_hit_share"].rise == pytest.approx(-0.4, abs=0.05)
    assert found["tokens"].moved


def test_rows_a_second_are_by_the_lengths_of_the_stretches():
    found = read([], [])["rows_per_second"]
    assert (found.now.value, found.before.value) == (1000 / 600, 6000 / 3600)
    assert not found.moved
    assert read([], [], (100.0, 3600.0))["rows_per_second"].moved


def test_what_moved_comes_first_and_a_reading_that_one_lacks_is_left_out():
    rng = np.random.default_rng(0)
    rows = frame(500, rng)
    found = saturation(rows, rows, of(0.7, steal=0.1), of(0.1), (600.0, 600.0))
    assert found[0].name == "others"
    assert "steal" not in [reading.name for reading in found]
