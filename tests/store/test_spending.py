"""What was spent is kept by minute and spender, written twice it counts once, and each hears of all the others."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, func, select

from roadworthy.store.metadata import spending
from roadworthy.store.spending import DAY_MINUTES, Elsewhere, Spent, note_spent, spent_elsewhere

NOW = 29_000_000


def spent(usd: float, spender: str = "a", minute: int = NOW, budget: str = "cascade", deployment: str = "toy") -> Spent:
    return Spent(deployment, budget, spender, minute, usd)


def elsewhere(engine: Engine, spender: str = "b", minute: int = NOW) -> Elsewhere:
    return spent_elsewhere(engine, "toy", "cascade", spender, minute)


def test_each_hears_what_all_others_spent_of_the_same_budget(engine):
    for row in (
        spent(1.0),
        spent(2.0, "b"),
        spent(4.0, "c"),
        spent(8.0, budget="comparisons"),
        spent(16.0, deployment="other"),
    ):
        note_spent(engine, row)
    assert elsewhere(engine, "a") == Elsewhere(6.0, 6.0)
    assert elsewhere(engine, "b") == Elsewhere(5.0, 5.0)
    assert elsewhere(engine, "nobody yet") == Elsewhere(7.0, 7.0)


def test_what_is_written_again_takes_the_place_of_what_was_there(engine):
    for usd in (1.0, 1.5, 1.5):
        note_spent(engine, spent(usd))
    note_spent(engine, spent(0.25, minute=NOW + 1))
    assert elsewhere(engine, minute=NOW + 1) == Elsewhere(1.75, 1.75)


def test_an_hour_later_it_counts_for_the_day_and_a_day_later_it_is_gone(engine):
    note_spent(engine, spent(1.0))
    assert elsewhere(engine, minute=NOW + 60) == Elsewhere(1.0, 1.0)
    assert elsewhere(engine, minute=NOW + 61) == Elsewhere(0.0, 1.0)
    assert elsewhere(engine, minute=NOW + DAY_MINUTES + 1) == Elsewhere(0.0, 0.0)
    note_spent(engine, spent(2.0, "b", NOW + DAY_MINUTES + 1))
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(spending)).scalar_one() == 1


def test_where_nothing_was_spent_there_is_nothing(engine):
    assert elsewhere(engine) == Elsewhere(0.0, 0.0)


def test_many_that_write_at_once_lose_nothing(engine):
    def write(spender: str) -> None:
        for k in range(10):
            note_spent(engine, spent(0.1 * (k + 1), spender))

    threads = [threading.Thread(target=write, args=(f"s{k}",)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert elsewhere(engine).hour == pytest.approx(4.0)
