"""The timetable of a mock endpoint is a queue before servers, with stalls in which no work is done."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.testing.mock_script import Stall
from roadworthy.testing.mock_timetable import Timetable


def test_without_servers_nobody_waits_for_anybody():
    table = Timetable()
    assert [table.serve(0.0, [0.5]), table.serve(0.1, [0.2, 0.1])] == [[0.5], [pytest.approx(0.3), pytest.approx(0.4)]]


def test_two_servers_take_the_first_two_and_the_third_waits():
    table = Timetable(2)
    assert [table.serve(0.0, [1.0]), table.serve(0.0, [3.0]), table.serve(0.0, [1.0])] == [[1.0], [3.0], [2.0]]


@given(st.floats(0, 40), st.floats(0, 40))
def test_work_is_done_only_outside_of_stalls(at, seconds):
    stall, started = Stall(2.0, 10.0), 5.0
    at += started
    (done,) = Timetable(0, stall, started).serve(at, [seconds])
    grid = np.linspace(at, done, 20_001) if done > at else np.array([at])
    busy = np.mean((grid - started) % 10.0 < 8.0) * (done - at)
    assert busy == pytest.approx(seconds, abs=0.01 + 0.001 * (done - at))
    assert (done - started) % 10.0 <= 8.0 + 1e-9 or (done - started) % 10.0 > 10.0 - 1e-9


def test_who_comes_in_a_stall_is_served_after_it():
    table = Timetable(1, Stall(2.0, 10.0))
    assert table.serve(8.5, [0.0]) == [10.0]
    assert table.serve(9.0, [0.25]) == [10.25]


def test_one_server_with_constant_work_waits_as_the_m_d_1_queue_does():
    """Pollaczek and Khinchine: the mean wait is rho / (2 (1 - rho)) services."""
    rng, table, service, load = np.random.default_rng(0), Timetable(1), 1.0, 0.7
    arrivals = np.cumsum(rng.exponential(service / load, 60_000))
    waits = [table.serve(at, [service])[0] - at - service for at in arrivals]
    assert np.mean(waits) == pytest.approx(load / (2 * (1 - load)), rel=0.05)
