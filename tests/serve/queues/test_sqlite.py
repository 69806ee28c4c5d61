"""The default queue: what the laws cannot see, with a clock that is told what time it is."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from roadworthy.core.errors import Missing
from roadworthy.serve.queue import Asked, End, Job, OpenQueue, Result, Ticket, queue
from roadworthy.serve.queues.sqlite import Sqlite
from roadworthy.store.files import StoreError


class Clock:
    """The time is what it was set to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """A clock at 1000."""
    return Clock()


def job(id: str, **more: object) -> Job:
    return Job(id, Asked(b"/predict", body=b"the body"), 1000.0, **more)


def put(opened: OpenQueue, *jobs: Job) -> list[Ticket]:
    with opened.together():
        return opened.put(jobs)


def take(opened: OpenQueue, fresh: int = 10, again: int = 10) -> list[str]:
    with opened.together():
        return [each.id for each in opened.take(fresh, again)]


def end(opened: OpenQueue, id: str, at: float = 1000.0) -> None:
    with opened.together():
        opened.end([End(id, 1, Result(200, b"{}"), at)])


def test_a_worker_that_hangs_loses_its_jobs_when_its_lease_ends_and_not_before(tmp_path, clock):
    settings = Sqlite(tmp_path, lease_seconds=30.0, durability="process")
    hanging, other = settings(clock), settings(clock)
    put(hanging, job("a"))
    assert take(hanging) == ["a"]
    clock.seconds += 29
    assert take(other) == []
    assert take(hanging) == []  # renews the lease
    clock.seconds += 29
    assert take(other) == []
    clock.seconds += 2
    assert take(other) == ["a"]
    assert other.get("a").attempts == 2
    hanging.close()
    assert other.get("a").state == "running"  # the one that hung gives back nothing that is another's now
    other.close()


DYING = """
import os, signal, sys
from pathlib import Path
from roadworthy.serve.queue import Asked, Job
from roadworthy.serve.queues.sqlite import Sqlite
opened = Sqlite(Path(sys.argv[1]))()
with opened.together():
    opened.put([Job("a", Asked(b"/"), 1.0)])
    opened.take(1, 1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_jobs_of_a_worker_that_died_come_back_at_once(tmp_path, clock):
    subprocess.run([sys.executable, "-c", DYING, str(tmp_path)], check=False)
    opened = Sqlite(tmp_path)(clock)  # at 1000, long before the end of the lease
    assert opened.get("a").state == "running"
    assert take(opened) == ["a"]
    assert opened.get("a").reason == "the worker of attempt 1 died"
    opened.close()
    assert [file.name for file in tmp_path.iterdir()] == ["jobs.db"]


def test_results_and_keys_are_forgotten_when_their_time_is_over_and_bodies_at_the_end(tmp_path, clock):
    opened = Sqlite(tmp_path, keep_seconds=100.0, durability="process")(clock)
    put(opened, job("old", key="k", digest="d"), job("other"))
    take(opened)
    end(opened, "old")
    end(opened, "other")
    reader = sqlite3.connect(tmp_path / "jobs.db")
    assert reader.execute("SELECT count(*) FROM bodies").fetchone() == (0,)
    clock.seconds += 101
    assert put(opened, job("new", key="k", digest="e")) == [Ticket("new", "new")]
    clock.seconds += 100
    take(opened)
    with pytest.raises(Missing, match="kept no longer"):
        opened.get("other")
    assert reader.execute("SELECT count(*) FROM results").fetchone() == (0,)
    reader.close()
    opened.close()


def test_the_body_of_a_dead_job_is_kept_for_whoever_looks_into_it(tmp_path, clock):
    settings = Sqlite(tmp_path, attempts=1, lease_seconds=1.0, durability="process")
    hanging, other = settings(clock), settings(clock)
    put(hanging, job("a"))
    take(hanging)
    clock.seconds += 2
    assert take(other) == []
    assert other.get("a").state == "dead"
    reader = sqlite3.connect(tmp_path / "jobs.db")
    assert b"the body" in reader.execute("SELECT asked FROM bodies").fetchone()[0]
    reader.close()
    hanging.close()
    other.close()


def test_an_idle_queue_writes_nothing(tmp_path, clock):
    opened = Sqlite(tmp_path, durability="process")(clock)
    put(opened, job("a"))
    take(opened)
    end(opened, "a")
    before = (tmp_path / "jobs.db-wal").read_bytes()
    for _ in range(100):
        clock.seconds += 1
        take(opened)
    assert (tmp_path / "jobs.db-wal").read_bytes() == before
    opened.close()


def test_looking_for_work_does_not_walk_through_all_that_is_done(tmp_path, clock):
    opened = Sqlite(tmp_path, durability="process", most=100_000)(clock)
    put(opened, *(job(f"j{k}") for k in range(1000)))
    while ids := take(opened, 200):
        with opened.together():
            opened.end([End(id, 1, Result(200), 1000.0) for id in ids])
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    opened._writing.connection.set_progress_handler(step, 10)
    take(opened)
    put(opened, job("last", key="k"))
    assert steps < 100  # of ten instructions each; a walk over 1000 rows takes several hundred
    opened.close()


@pytest.mark.parametrize("name", ["most", "attempts", "lease_seconds", "keep_seconds"])
def test_settings_that_make_no_sense_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=f"`{name}` must be above 0, got 0"):
        Sqlite(tmp_path, **{name: 0})


def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "jobs.db").write_bytes(b"these are notes, not jobs" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Sqlite(tmp_path)()
    foreign = tmp_path / "other"
    foreign.mkdir()
    with sqlite3.connect(foreign / "jobs.db") as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    with pytest.raises(StoreError, match="not a queue of jobs"):
        Sqlite(foreign)()


def test_a_file_of_a_newer_version_is_refused(tmp_path):
    Sqlite(tmp_path)().close()
    with sqlite3.connect(tmp_path / "jobs.db") as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(StoreError, match="upgrade"):
        Sqlite(tmp_path)()


def test_the_plan_of_a_project_file_makes_it(tmp_path):
    made = queue.make("sqlite:most=5,lease_seconds=2", directory=tmp_path)
    assert made == Sqlite(tmp_path, most=5, lease_seconds=2.0)
