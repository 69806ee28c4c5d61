from __future__ import annotations

import threading

import pytest
from sqlalchemy import delete, select

from roadworthy.core.record import Record
from roadworthy.observe.counts.rolling import compact, roll_up
from roadworthy.observe.counts.rollups import percentiles, series
from roadworthy.store.state import State

T0 = 1_699_999_200.0  # a whole hour


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / "state", "process") as found:
        yield found


def records(n: int, at: float = T0, name: str = "a", step: float = 1.0, **more) -> list[Record]:
    return [
        Record(
            f"{name}{k}", at + step * k, "r1", "stable", {}, {"p": 0.5}, seconds={"total": 0.01 * (k % 7 + 1)}, **more
        )
        for k in range(n)
    ]


def requests(state, since=T0 - 1e6, until=T0 + 1e7, **which) -> float:
    return float(series(state, since, until, **which).count("requests").sum())


def test_each_record_is_counted_once(state):
    state.records.write(records(100))
    assert roll_up(state, T0) == 100
    assert roll_up(state, T0) == 0
    state.records.write(records(50, T0 + 30, "b"))
    assert roll_up(state, T0) == 50
    assert requests(state) == 150
    assert series(state, T0, T0 + 120).count("requests").tolist() == [90, 60]


def test_a_long_log_is_counted_in_parts(state):
    state.records.write(records(250))
    assert roll_up(state, T0, most_rows=100) == 250
    assert requests(state) == 250
    assert roll_up(state, T0, most_rows=100) == 0


def test_a_late_row_is_counted_in_its_own_minute(state):
    state.records.write(records(10, T0 + 7200))
    roll_up(state, T0 + 7300)
    state.records.write(records(5, T0, "late"))
    roll_up(state, T0 + 7400)
    found = series(state, T0, T0 + 9000)
    assert found.at.tolist() == [T0, T0 + 7200]
    assert found.count("requests").tolist() == [5, 10]


def test_what_is_counted_late_stands_in_hours_at_once_and_says_the_same(state, tmp_path):
    rows = records(300, T0, step=60.0)
    state.records.write(rows)
    roll_up(state, T0)
    compact(state, T0 + 86_400 * 3)
    by_the_minute = series(state, T0, T0 + 18_000)
    told = [str(m) for m in percentiles(state, T0, T0 + 18_000)]
    with State.open(tmp_path / "late", "process") as late:
        late.records.write(rows)
        roll_up(late, T0 + 86_400 * 3)
        assert compact(late, T0 + 86_400 * 3) == 0
        at_once = series(late, T0, T0 + 18_000)
        assert at_once.span.tolist() == [3600] * 5
        assert at_once.count("requests").tolist() == by_the_minute.count("requests").tolist()
        assert [str(m) for m in percentiles(late, T0, T0 + 18_000)] == told


def test_a_late_row_of_a_compacted_hour_is_counted_too(state):
    state.records.write(records(100, T0, step=60.0))
    roll_up(state, T0)
    before = [str(m) for m in percentiles(state, T0, T0 + 7200)]
    assert compact(state, T0 + 86_400 * 3) == 98
    assert [str(m) for m in percentiles(state, T0, T0 + 7200)] == before
    assert series(state, T0, T0 + 7200).span.tolist() == [3600, 3600]
    state.records.write(records(3, T0, "late", step=61.0))
    roll_up(state, T0 + 86_400 * 3)
    assert requests(state) == 103
    assert series(state, T0, T0 + 7200).span.tolist() == [3600, 3600], "a late row goes into its hour"
    assert compact(state, T0 + 86_400 * 3) == 0, "once an hour is enough"
    assert compact(state, T0 + 86_400 * 3 + 3600) == 0
    assert series(state, T0, T0 + 7200).count("requests").tolist() == [63, 40]


def test_minutes_that_are_young_stay_minutes_and_ancient_hours_go(state):
    state.records.write(records(10, T0, step=60.0) + records(10, T0 - 86_400 * 500, "old", step=60.0))
    roll_up(state, T0)
    compact(state, T0 + 3600)
    assert series(state, T0, T0 + 3600).n == 10
    assert requests(state, 0) == 10


def test_a_process_that_dies_in_between_leaves_neither_counts_nor_bookmark(state):
    state.records.write(records(20))
    table = state.tables["rollups"]
    with state.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON rollups BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    with pytest.raises(Exception, match="full"):
        roll_up(state, T0)
    with state.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER full")
        assert connection.execute(select(table)).all() == []
        assert connection.execute(select(state.tables["bookmarks"])).all() == []
    assert roll_up(state, T0) == 20
    assert requests(state) == 20


def test_two_processes_at_once_count_once(tmp_path):
    with State.open(tmp_path / "state", "process") as one, State.open(tmp_path / "state", "process") as other:
        for k in range(6):
            one.records.write(records(50, T0 + k, f"r{k}-"))
            threads = [threading.Thread(target=roll_up, args=(each, T0)) for each in (one, other)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
        assert requests(one) == 300


def test_rows_that_arrive_while_we_count_are_for_the_next_time(state):
    state.records.write(records(10))
    log, write = state.records, state.records.write

    class Busy:
        def position(self):
            found = log.position()
            write(records(4, T0 + 1, f"busy{found}-"))
            return found

        def __getattr__(self, name):
            return getattr(log, name)

    busy = State(state.directory, state.engine, Busy(), state.blobs)
    assert roll_up(busy, T0) == 10
    assert roll_up(state, T0) == 4
    assert requests(state) == 14


def test_another_log_in_the_place_of_a_lost_one_is_counted_from_its_beginning(tmp_path):
    with State.open(tmp_path / "state", "process") as state:
        state.records.write(records(10))
        roll_up(state, T0)
    for file in (tmp_path / "state").glob("records*"):
        file.unlink()
    with State.open(tmp_path / "state", "process") as state:
        state.records.write(records(3, T0, "new"))
        assert roll_up(state, T0) == 3
        assert requests(state) == 13


def test_a_tag_has_at_most_so_many_values_an_hour(state):
    for k in range(3):
        rows = [r for u in range(4) for r in records(u + 1, T0 + 60 * k, f"{k}-{u}-", tags={"user": f"u{k}{u}"})]
        state.records.write(rows)
        roll_up(state, T0, most_values=5)
    assert requests(state, tag="user", value="u03") == 4
    assert requests(state, tag="user", value="u13") == 4, "the most frequent of the new ones"
    assert requests(state, tag="user", value="u12") == 0
    assert requests(state, tag="user", value="other") == 16
    assert requests(state) == requests(state, tag="user") == 30


def test_a_cleared_table_does_not_stop_the_counting(state):
    state.records.write(records(5))
    roll_up(state, T0)
    with state.engine.begin() as connection:
        connection.execute(delete(state.tables["rollups"]))
    state.records.write(records(5, name="b"))
    assert roll_up(state, T0) == 5
    assert requests(state) == 5
