"""One may act at a time, on both databases, and whoever lost his turn is found out in the transaction he writes."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine

from roadworthy.store.leases import LONGEST_SECONDS, Lease, give_back, stands, take


def test_a_lease_is_one_holders_until_it_is_over(engine: Engine) -> None:
    first = take(engine, "rollout/flights", "a", 100.0, 10.0)
    assert first == Lease("rollout/flights", "a", 110.0, 1)
    assert take(engine, "rollout/flights", "b", 109.0, 10.0) is None
    assert take(engine, "rollout/trains", "b", 109.0, 10.0) is not None
    assert take(engine, "rollout/flights", "a", 105.0, 10.0) == Lease("rollout/flights", "a", 115.0, 1)
    assert take(engine, "rollout/flights", "b", 115.0, 10.0) == Lease("rollout/flights", "b", 125.0, 2)


def test_whoever_lost_his_turn_stands_no_more(engine: Engine) -> None:
    mine = take(engine, "x", "a", 100.0, 10.0)
    assert mine is not None
    with engine.begin() as connection:
        # Nobody took it over: that its time is over harms nobody.
        assert stands(connection, mine)
    theirs = take(engine, "x", "b", 200.0, 10.0)
    assert theirs is not None
    with engine.begin() as connection:
        assert not stands(connection, mine)
        assert stands(connection, theirs)
        assert not stands(connection, Lease("y", "a", 0.0, 1))
    give_back(engine, mine)
    assert take(engine, "x", "a", 201.0, 10.0) is None


def test_what_is_given_back_is_free_at_once(engine: Engine) -> None:
    mine = take(engine, "x", "a", 100.0, 10.0)
    assert mine is not None
    give_back(engine, mine)
    assert take(engine, "x", "b", 100.0, 10.0) == Lease("x", "b", 110.0, 2)


def test_a_lease_from_a_clock_that_ran_ahead_binds_nobody(engine: Engine) -> None:
    take(engine, "x", "a", 1e9, 10.0)
    assert take(engine, "x", "b", 100.0, 10.0) == Lease("x", "b", 110.0, 2)


@pytest.mark.parametrize("seconds", [0.0, -1.0, LONGEST_SECONDS + 1])
def test_a_lease_has_a_length(engine: Engine, seconds: float) -> None:
    with pytest.raises(ValueError, match="`seconds` of a lease"):
        take(engine, "x", "a", 100.0, seconds)


def test_of_many_that_ask_at_once_one_gets_it(engine: Engine) -> None:
    got: list[Lease | None] = []
    barrier = threading.Barrier(5)

    def ask(k: int) -> None:
        barrier.wait()
        got.append(take(engine, "x", f"holder {k}", 100.0, 10.0))

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [lease.turn for lease in got if lease is not None] == [1]
