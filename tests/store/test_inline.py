"""Rows are written where they come from while nobody else writes, and by the writer's thread in every other case."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import Future
from functools import partial

import pytest

from roadworthy.store import inline
from roadworthy.store.files import connect, connect_without_waiting
from roadworthy.store.inline import Inline
from roadworthy.store.writer import Group, Writer


def insert_through(threads, connection):
    """What writes numbers, and notes on which thread it does."""

    def insert(rows):
        threads.append(threading.current_thread())
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO numbers VALUES (?)", rows)
        connection.execute("COMMIT")

    return insert


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "numbers.db"
    connection = connect(found, "process")
    connection.execute("CREATE TABLE numbers (n INTEGER CHECK (n >= 0))")
    connection.close()
    return found


@pytest.fixture
def threads():
    return []


@pytest.fixture(params=[False, True], ids=["process", "power"])
def disk(request, path, threads):
    insert = partial(insert_through, threads)
    writer = Writer(path, partial(connect, path, "power" if request.param else "process"), insert)
    found = Inline(writer, partial(connect_without_waiting, path), insert, sync=request.param)
    found.syncs = request.param
    yield found
    writer.close()
    found.close()


def put(disk, *numbers):
    """Write them and wait for it: (was it done at once, why not)."""
    future = Future()
    at_once = disk.put(Group([(n,) for n in numbers], future.set_result))
    return at_once, None if at_once else future.result(30)


def numbers_in(path):
    with sqlite3.connect(path) as connection:
        found = [row[0] for row in connection.execute("SELECT n FROM numbers ORDER BY rowid")]
    connection.close()
    return found


def test_a_free_disk_is_written_on_the_spot(path, disk, threads):
    for k in range(3):
        assert put(disk, k) == (not disk.syncs, None)
    assert threads == [threading.main_thread()] * 3
    assert numbers_in(path) == [0, 1, 2]


def test_what_another_process_locks_is_left_to_the_writer_who_waits(path, disk, threads):
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")
    future = Future()
    assert not disk.put(Group([(1,)], future.set_result))
    assert not future.done()
    other.execute("COMMIT")
    other.close()
    assert future.result(30) is None
    assert threads[-1] is not threading.main_thread()
    assert numbers_in(path) == [1]
    assert put(disk, 2) == (not disk.syncs, None)
    assert threads[-1] is threading.main_thread()


def test_what_the_database_refuses_is_told_in_the_words_of_the_writer(path, disk):
    at_once, why = put(disk, -1)
    assert not at_once
    assert why.startswith(f"not recorded: `{path}`: CHECK constraint failed")
    assert put(disk, 3)[1] is None
    assert numbers_in(path) == [3]


def test_now_and_then_the_thread_moves_the_log_into_the_database(path, disk, threads, monkeypatch):
    monkeypatch.setattr(inline, "ROWS_BETWEEN_CHECKPOINTS", 10)
    for k in range(25):
        assert put(disk, k)[1] is None
    elsewhere = [k for k, thread in enumerate(threads) if thread is not threading.main_thread()]
    assert elsewhere == [9, 10, 19, 20]
    assert numbers_in(path) == list(range(25))


def test_the_log_on_disk_does_not_grow_without_end(path, disk):
    rows = list(range(1000))
    for _ in range(60):
        assert put(disk, *rows)[1] is None
    # 60,000 rows are about 0.7 MB of database; the log holds each page that any of 60 commits touched.
    assert path.with_name(f"{path.name}-wal").stat().st_size < 8_000_000
    assert len(numbers_in(path)) == 60_000


def test_after_its_end_everything_is_the_writers(path, disk, threads):
    disk.close()
    assert put(disk, 1) == (False, None)
    assert threads[-1] is not threading.main_thread()


def test_two_threads_write_side_by_side_and_lose_nothing(path, disk):
    def bring(first):
        for k in range(first, first + 200):
            assert put(disk, k)[1] is None

    both = [threading.Thread(target=bring, args=(first,)) for first in (0, 1000)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(numbers_in(path)) == [*range(200), *range(1000, 1200)]
