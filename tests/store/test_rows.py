"""A record is the same after the file as before it, in this layout and in the one before."""

from __future__ import annotations

import sqlite3

import msgspec
import numpy as np
import pytest

from roadworthy.core.record import Label, Record
from roadworthy.core.wire import Step
from roadworthy.store.files import StoreError
from roadworthy.store.records import APPLICATION_ID, RecordLog
from roadworthy.store.rows import ARMS, record_of, row_of


def record(id="one", **more):
    return Record(id, 1.5, more.pop("release", "r"), more.pop("arm", "stable"), {"x": 1.0}, {"p": 0.5}, **more)


FULL = record(
    confidence=0.9,
    prediction_set=("late", "on time"),
    path=(Step("small", "sure enough"),),
    seconds={"queue": 0.001},
    tokens=3,
    usd=0.002,
    tags={"carrier": "UA"},
    error="timeout",
)


@pytest.mark.parametrize("given", [FULL, record(), *(record(arm=arm) for arm in ARMS)])
def test_a_row_is_the_whole_record(given):
    assert record_of(*row_of(given)) == given


def test_a_vector_of_32_bit_floats_is_kept_as_its_bytes_and_read_as_numbers():
    vector = np.array([0.1, -2.5, np.inf], np.float32)
    row = row_of(Record("v", 1.0, "r", "stable", {"x": vector}, {"p": np.float64(0.5)}))
    assert vector.tobytes() in row[-1]
    assert record_of(*row).inputs == {"x": vector.tolist()}


@pytest.mark.parametrize(
    "array", [np.arange(3, dtype=">f4"), np.arange(3.0), np.ones((2, 2), np.float32), np.array(["a", None], object)]
)
def test_any_other_array_is_kept_as_a_list(array):
    row = row_of(Record("v", 1.0, "r", "stable", {"x": array}, {}))
    assert record_of(*row).inputs == {"x": array.tolist()}


def test_what_a_newer_version_wrote_is_said_to_be_so():
    body = msgspec.msgpack.encode(({"x": msgspec.msgpack.Ext(9, b"")}, {}, {}))
    with pytest.raises(ValueError, match="newer Roadworthy wrote this record"):
        record_of("a", 0, 1.0, "r", body)


def test_an_arm_that_nobody_knows_is_refused():
    with pytest.raises(TypeError, match="must be one of stable, canary, shadow, fallback, holdback, got 'blue'"):
        row_of(record(arm="blue"))


def test_a_group_of_any_size_is_written_whole_and_doubles_are_left_out(tmp_path):
    log = RecordLog(tmp_path / "records.db", "process")
    written = 0
    for size in (1, 3, 64, 65, 300):
        log.write([record(f"{size}-{k}", release=f"release {k % 3}") for k in range(size)] * 2)
        written += size
        assert log.count() == written
    assert sum(n for (release, _), n in log.counts().items() if release == "release 0") == sum(
        (size + 2) // 3 for size in (1, 3, 64, 65, 300)
    )
    log.close()


# The tables of version 1, and a row as it wrote it: the whole record was the body.
OLD_TABLES = """
CREATE TABLE records (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, arm TEXT NOT NULL, at REAL NOT NULL,
  release TEXT NOT NULL, failed INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (id, arm, failed));
CREATE INDEX records_at ON records (at);
CREATE INDEX records_release ON records (release, arm, at);
CREATE TABLE labels (id TEXT PRIMARY KEY, value REAL NOT NULL, at REAL NOT NULL, source TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE labels_aside (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, value REAL NOT NULL, at REAL NOT NULL,
  source TEXT NOT NULL, reason TEXT NOT NULL, UNIQUE (id, value, at, source, reason));
PRAGMA user_version = 1;
"""
OLD_INSERT = "INSERT INTO records (seq, id, arm, at, release, failed, body) VALUES (?, ?, ?, ?, ?, ?, ?)"


def old_file(path, records):
    connection = sqlite3.connect(path)
    connection.executescript(OLD_TABLES + f"PRAGMA application_id = {APPLICATION_ID};")
    for seq, r in enumerate(records, start=5):
        body = msgspec.msgpack.encode(r)
        connection.execute(OLD_INSERT, (seq, r.id, r.arm, r.at, r.release, r.error is not None, body))
    connection.execute("INSERT INTO labels VALUES ('one', 1.0, 9.0, '')")
    connection.commit()
    connection.close()
    return path


def test_a_file_of_version_1_is_brought_up_to_date_with_all_that_it_holds(tmp_path):
    failed = record(error="Overloaded: full", release="s")
    old = [record(), failed, record(arm="shadow"), record("two", arm="canary", release="s")]
    path = old_file(tmp_path / "records.db", old)
    for _ in range(2):  # and once more, when it is up to date
        log = RecordLog(path, "process")
        assert log.position() == 8
        assert [msgspec.structs.replace(r, label=None, label_at=None) for r in log.read()] == old
        assert [r.label for r in log.read()] == [1.0, 1.0, 1.0, None]
        assert log.counts() == {("r", "stable"): 1, ("s", "stable"): 1, ("r", "shadow"): 1, ("s", "canary"): 1}
        assert [r.id for r in log.read(release="s", arms=["canary"])] == ["two"]
        log.close()
    log = RecordLog(path, "process")
    log.write([record(), record("three", release="t")])
    assert log.position() == 9
    assert [r.id for r in log.read(after=8)] == ["three"]
    assert log.write_labels([Label("three", 0.0, 3.0)]).kept == 1
    log.close()


def test_an_upgrade_that_fails_leaves_the_old_file(tmp_path):
    path = old_file(tmp_path / "records.db", [record()])
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE releases (in_the_way)")
    with pytest.raises(StoreError, match="table releases already exists"):
        RecordLog(path, "process")
    connection.execute("DROP TABLE releases")
    connection.close()
    log = RecordLog(path, "process")
    assert [r.id for r in log.read()] == ["one"]
    log.close()
