"""The fold of a log of jobs: the same log makes the same table anywhere, and the first of two contradictions counts."""

from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.errors import Missing
from roadworthy.serve.job_log import (
    Began,
    Cancelled,
    Ended,
    Entry,
    GivenBack,
    Lost,
    Noticed,
    Put,
    Told,
    decode,
    encode,
    fold,
)
from roadworthy.serve.job_table import SCHEMA, JobTable
from roadworthy.serve.queue import Asked, End, Job, Result, Sent

IDS, WORKERS = st.sampled_from("ab"), st.sampled_from("vw")
TIMES, ATTEMPTS = st.floats(0, 9), st.integers(1, 4)
RESULTS = st.builds(Result, st.sampled_from([200, 400, 503]))
JOBS = st.builds(
    Job, IDS, st.just(Asked(b"/")), TIMES, key=st.sampled_from(["", "k"]), webhook=st.sampled_from(["", "http://a/"])
)
ENTRIES = st.lists(
    st.builds(Put, JOBS)
    | st.builds(Began, IDS, WORKERS, TIMES)
    | st.builds(Ended, st.builds(End, IDS, ATTEMPTS, RESULTS, TIMES, st.none() | TIMES))
    | st.builds(Lost, IDS, WORKERS, TIMES)
    | st.builds(GivenBack, IDS, WORKERS)
    | st.builds(Cancelled, IDS, TIMES)
    | st.builds(Noticed, IDS, ATTEMPTS, TIMES)
    | st.builds(Told, st.builds(Sent, IDS, st.booleans(), again_at=st.none() | TIMES)),
    max_size=30,
)
TERMINAL = {"done", "failed", "cancelled", "dead"}


def table() -> JobTable:
    connection = sqlite3.connect(":memory:")
    for statement in SCHEMA:
        connection.execute(statement)
    return JobTable(connection, attempts=3)


def rows(made: JobTable) -> list[tuple[object, ...]]:
    return made.connection.execute("SELECT * FROM jobs").fetchall()


def states(made: JobTable) -> dict[str, str]:
    return dict(made.connection.execute("SELECT id, state FROM jobs"))


@given(ENTRIES)
def test_every_server_makes_the_same_table_and_nothing_leaves_an_end(entries: list[Entry]) -> None:
    first, second = table(), table()
    ended: dict[str, str] = {}
    for spot, entry in enumerate(entries):
        fold(first, entry, 3, spot)
        fold(second, decode(encode(entry)), 3, spot)
        now = states(first)
        assert {id: now[id] for id in ended} == ended
        ended = {id: state for id, state in now.items() if state in TERMINAL}
        assert all(row[0] <= 3 for row in first.connection.execute("SELECT attempts FROM jobs"))
    assert rows(first) == rows(second)
    first.connection.close()
    second.connection.close()


def test_of_two_workers_that_take_a_job_the_first_has_it() -> None:
    made = table()
    for spot, entry in enumerate([Put(Job("a", Asked(b"/"), 1.0)), Began("a", "v", 2.0), Began("a", "w", 3.0)]):
        fold(made, entry, 0, spot)
    assert (made.held_by("v"), made.held_by("w")) == (["a"], [])
    made.connection.close()


def test_of_two_jobs_with_one_key_the_first_is_kept() -> None:
    made = table()
    for spot, id in enumerate("ab"):
        fold(made, Put(Job(id, Asked(b"/"), 1.0, key="k")), 0, spot)
    assert states(made) == {"a": "queued"}
    assert made.first_spots() == {0: 0}
    made.connection.close()


def test_an_entry_about_a_job_that_nobody_knows_changes_nothing() -> None:
    made = table()
    for entry in (Began("x", "v", 1.0), Cancelled("x", 1.0), Lost("x", "v", 1.0), Noticed("x", 1, 1.0)):
        fold(made, entry, 0, 0)
    assert rows(made) == []
    try:
        made.get("x")
    except Missing:
        made.connection.close()
    else:
        raise AssertionError("there is no such job")
