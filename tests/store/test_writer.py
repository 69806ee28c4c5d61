"""The writer commits in groups, fails whom it must with a sentence, and goes on."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import Future
from functools import partial

import pytest

from roadworthy.store.files import StoreError, connect
from roadworthy.store.writer import MOST_ROWS, Group, Writer


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


HOLD = -7


@pytest.fixture
def held():
    """Set `go` to let the writer on, which stops at a row HOLD and says so in `busy`."""
    return threading.Event(), threading.Event()


@pytest.fixture
def writer(path, commits, held):
    def traced():
        connection = connect(path, "process")
        connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        return connection

    found = Writer(path, traced, partial(insert_through, held))
    yield found
    found.close()


def insert_through(held, connection):
    def insert(rows):
        if rows == [(HOLD,)]:
            busy, go = held
            busy.set()
            go.wait()
            return
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO numbers VALUES (?)", rows)
        connection.execute("COMMIT")

    return insert


def put(writer, *numbers):
    """A future of why the rows are not written; None: they are."""
    future = Future()
    writer.put(Group([(n,) for n in numbers], future.set_result))
    return future


def numbers_in(path):
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT n FROM numbers ORDER BY rowid")]
    connection.close()
    return found


def hold_up(writer, held):
    """Keep the writer busy, so that others queue up behind it."""
    first = put(writer, HOLD)
    held[0].wait()
    return first


def test_what_waits_is_one_commit(path, writer, commits, held):
    first = hold_up(writer, held)
    rest = [put(writer, k, k) for k in range(1, 50)]
    held[1].set()
    assert [future.result() for future in [first, *rest]] == [None] * 50
    assert numbers_in(path) == [k for k in range(1, 50) for _ in range(2)]
    assert len(commits) == 1


def test_a_commit_is_bounded(path, writer, commits, held):
    first = hold_up(writer, held)
    rest = [put(writer, *range(MOST_ROWS // 2)) for _ in range(8)]
    held[1].set()
    assert [future.result() for future in [first, *rest]] == [None] * 9
    assert len(commits) == 4
    assert len(numbers_in(path)) == 4 * MOST_ROWS


def test_a_group_without_rows_is_answered(path, writer):
    assert put(writer).result() is None
    assert numbers_in(path) == []


def test_what_the_database_refuses_fails_the_commit_and_leaves_nothing_of_it(path, writer, held):
    hold_up(writer, held)
    together = [put(writer, 1), put(writer, -1), put(writer, 2)]
    held[1].set()
    for future in together:
        assert future.result().startswith(f"not recorded: `{path}`: CHECK constraint failed")
    put(writer, 3).result()
    assert numbers_in(path) == [3]


def test_all_that_waits_fails_with_a_commit_that_is_full(path, writer, held):
    hold_up(writer, held)
    full, behind = put(writer, *[-1] * MOST_ROWS), put(writer, 1)
    held[1].set()
    assert full.result() == behind.result()
    assert numbers_in(path) == []


def test_a_failure_that_nobody_foresaw_is_told_too(path, writer):
    assert put(writer, 1 << 70).result().startswith(f"not recorded: `{path}`: OverflowError")
    put(writer, 3).result()
    assert numbers_in(path) == [3]


def test_writing_waits_for_the_commit_and_raises_what_prevented_it(path, writer):
    writer.write([(1,), (2,)])
    assert numbers_in(path) == [1, 2]
    with pytest.raises(StoreError, match="CHECK constraint failed"):
        writer.write([(-1,)])


def test_a_file_that_cannot_be_opened_fails_everybody_and_is_tried_again(path, held):
    moved = path.with_name("moved.db")
    connecting = [partial(connect, moved / "not here"), partial(connect, path)]
    found = Writer(path, lambda: connecting.pop(0)(), partial(insert_through, held))
    assert "unable to open database file" in put(found, 1).result()
    put(found, 2).result()
    found.close()
    assert numbers_in(path) == [2]


def test_closing_in_the_middle_of_a_failure_still_ends(path, writer, held):
    hold_up(writer, held)
    refused = put(writer, -1)
    closing = threading.Thread(target=writer.close)
    closing.start()
    late = put(writer, 1)
    held[1].set()
    closing.join(timeout=30)
    assert not closing.is_alive()
    assert "CHECK constraint" in refused.result()
    assert late.result() is not None
    assert numbers_in(path) == []


def test_what_comes_after_the_end_is_refused(path, writer):
    writer.close()
    assert put(writer, 1).result() == f"`{path}` is closed: the record was not written"
    assert numbers_in(path) == []
