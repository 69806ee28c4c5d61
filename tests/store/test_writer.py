"""The writer commits in groups, fails whom it must with a sentence, and goes on."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import Future
from functools import partial

import pytest

from roadworthy.store.files import StoreError, connect
from roadworthy.store.writer import MOST_ROWS, Writer


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "numbers.db"
    connection = connect(found, "process")
    connection.execute("CREATE TABLE numbers (n INTEGER CHECK (n >= 0))")
    connection.close()
    return found


@pytest.fixture
def commits():
    return []


@pytest.fixture
def writer(path, commits):
    def traced():
        connection = connect(path, "process")
        connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        return connection

    found = Writer(path, traced, "INSERT INTO numbers VALUES (?)", rows_of)
    yield found
    found.close()


def rows_of(numbers):
    return [(n,) for n in numbers]


def put(writer, *numbers, make=None):
    future = Future()
    writer.put((make or (lambda: numbers), None, future))
    return future


def numbers_in(path):
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT n FROM numbers ORDER BY rowid")]
    connection.close()
    return found


def held_up(writer):
    """An item that keeps the writer busy until it is let go, so that others queue up behind it."""
    go, busy = threading.Event(), threading.Event()

    def make():
        busy.set()
        go.wait()
        return [0]

    future = put(writer, make=make)
    busy.wait()
    return go, future


def test_what_waits_is_one_commit(path, writer, commits):
    go, first = held_up(writer)
    rest = [put(writer, k, k) for k in range(1, 50)]
    go.set()
    for future in [first, *rest]:
        future.result()
    assert numbers_in(path) == [0, *(k for k in range(1, 50) for _ in range(2))]
    assert len(commits) == 1


def test_a_group_is_bounded(path, writer, commits):
    go, first = held_up(writer)
    rest = [put(writer, *range(MOST_ROWS // 2)) for _ in range(8)]
    go.set()
    for future in [first, *rest]:
        future.result()
    assert len(commits) == 4
    assert len(numbers_in(path)) == 4 * MOST_ROWS + 1


def test_an_item_without_rows_is_answered(path, writer):
    put(writer).result()
    assert numbers_in(path) == []


def test_what_the_database_refuses_fails_the_group_and_leaves_nothing_of_it(path, writer):
    go, first = held_up(writer)
    together = [first, put(writer, 1), put(writer, -1), put(writer, 2)]
    go.set()
    for future in together:
        with pytest.raises(StoreError, match=r"not recorded: `.*numbers\.db`: CHECK constraint failed"):
            future.result()
    put(writer, 3).result()
    assert numbers_in(path) == [3]


def test_a_failure_that_nobody_foresaw_is_told_too(path, writer):
    huge = put(writer, 1 << 70)
    with pytest.raises(StoreError, match=r"not recorded: `.*numbers\.db`: OverflowError"):
        huge.result()
    put(writer, 3).result()
    assert numbers_in(path) == [3]


def test_a_file_that_cannot_be_opened_fails_everybody_and_is_tried_again(path):
    moved = path.with_name("moved.db")
    connecting = [partial(connect, moved / "not here"), partial(connect, path)]
    found = Writer(
        path, lambda: connecting.pop(0)(), "INSERT INTO numbers VALUES (?)", lambda things: [(n,) for n in things]
    )
    with pytest.raises(StoreError, match="unable to open database file"):
        put(found, 1).result()
    put(found, 2).result()
    found.close()
    assert numbers_in(path) == [2]


def test_closing_in_the_middle_of_a_failure_still_ends(path, writer):
    go, first = held_up(writer)
    refused = put(writer, -1)
    closing = threading.Thread(target=writer.close)
    closing.start()
    go.set()
    closing.join(timeout=30)
    assert not closing.is_alive()
    assert isinstance(refused.exception(), StoreError)
    assert isinstance(first.exception(), StoreError)


def test_a_future_that_was_cancelled_does_not_disturb_the_others(path, writer):
    go, first = held_up(writer)
    gone, stays = put(writer, 1), put(writer, 2)
    gone.cancel()
    go.set()
    assert [first.result(), stays.result()] == [None, None]
    assert numbers_in(path) == [0, 1, 2]
