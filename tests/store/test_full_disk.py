"""A full disk: rows are refused, dropped and counted, or spilled and given back; nobody is told what is not so."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from roadworthy.core.record import Record
from roadworthy.core.spec import Log
from roadworthy.store.files import StoreError
from roadworthy.store.full_disk import Drop, Spill, frames, is_full
from roadworthy.store.records import RecordLog
from roadworthy.store.rows import row_of
from roadworthy.store.state import State

# No file may grow beyond a size: what a full disk does, without filling one. Spill files begin at nothing.
FULL = """
import asyncio, logging, resource, signal, sys, time
from pathlib import Path
from roadworthy.core.record import Record
from roadworthy.store.records import RecordLog

path, policy, durability, spill = Path(sys.argv[1]), *sys.argv[2:4], Path(sys.argv[4])
logging.basicConfig(format="log: %(message)s", stream=sys.stdout)

def rows(k):
    return [Record(f"{k:03d}", float(k), "r", "stable", {"text": "x" * 3000}, {})]

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def several(log, first, last):
    waiting = [log.append(lambda k=k: rows(k)) for k in range(first, last)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    return {type(answer).__name__ for answer in answers}

async def main():
    log = RecordLog(path, durability, policy, spill)
    for k in range(30):
        await log.append(lambda: rows(k))
    limit(Path(f"{path}-wal").stat().st_size)
    for first in (30, 40, 50):
        print(await several(log, first, first + 10), log.count(), flush=True)
    if "die" in sys.argv:
        signal.raise_signal(signal.SIGKILL)
    limit(resource.RLIM_INFINITY)
    if policy == "spill":
        time.sleep(1.1)
    print(await several(log, 60, 70), log.count(), flush=True)
    found = [r.id for r in log.read(after=0)]
    print(found == sorted(found), [g.rows for g in log.gaps()], flush=True)
    log.close()

asyncio.run(main())
"""


def filled(path: Path, policy: str, durability: str, *more: str) -> list[str]:
    """What a process said whose disk was full for a while."""
    command = [sys.executable, "-c", FULL, str(path), policy, durability, str(path.parent / "spill"), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=not more, timeout=60)
    return done.stdout.splitlines()


@pytest.mark.parametrize("durability", ["process", "power"])
def test_refused_rows_are_told_and_recorded_when_there_is_room(tmp_path, durability):
    said = filled(tmp_path / "records.db", "refuse", durability)
    assert said == ["{'StoreError'} 30"] * 3 + ["{'NoneType'} 40", "True []"]


@pytest.mark.parametrize("durability", ["process", "power"])
def test_dropped_rows_are_answered_counted_and_leave_a_gap(tmp_path, durability):
    said = filled(tmp_path / "records.db", "drop", durability)
    told = [line for line in said if line.startswith("log: ")]
    assert [line for line in said if line not in told] == ["{'NoneType'} 30"] * 3 + ["{'NoneType'} 40", "True [30]"]
    assert len(told) == 2
    assert "records were answered but not kept since" in told[0]
    assert "records.db`: " in told[0]
    assert told[1] == "log: there is room again: 30 records are missing"
    log = RecordLog(tmp_path / "records.db")
    (gap,) = log.gaps()
    assert gap.rows == 30
    assert gap.since <= gap.until
    assert "SQLITE_" in gap.reason
    log.close()


@pytest.mark.parametrize("durability", ["process", "power"])
def test_spilled_rows_are_answered_and_in_the_log_when_there_is_room(tmp_path, durability):
    said = filled(tmp_path / "records.db", "spill", durability)
    told = [line for line in said if line.startswith("log: ")]
    assert [line for line in said if line not in told] == ["{'NoneType'} 30"] * 3 + ["{'NoneType'} 70", "True []"]
    assert "records go to `" in told[0]
    assert "30 records from `" in told[1]
    assert list((tmp_path / "spill").iterdir()) == []


def test_what_a_process_spilled_before_it_died_is_given_back_by_the_next(tmp_path):
    path, spill = tmp_path / "records.db", tmp_path / "spill"
    filled(path, "spill", "power", "die")
    assert len(list(spill.iterdir())) == 1
    for _ in range(2):  # and once more, when there is nothing left
        log = RecordLog(path, "power", "spill", spill)
        log.write([])
        assert [r.id for r in log.read()] == [f"{k:03d}" for k in range(60)]
        log.close()
        assert list(spill.iterdir()) == []


def rows(first: int, n: int = 3) -> list[tuple[str, int, float, str, bytes]]:
    return [row_of(Record(f"{k:03d}", float(k), "r", "stable", {"x": k}, {})) for k in range(first, first + n)]


def left_behind(directory: Path, log: Path) -> Path:
    """A spill file with three groups of three rows, of a process that is gone."""
    spill = Spill(directory, log, sync=True)
    for first in (0, 3, 6):
        spill.take(rows(first), "full")
    spill.close()
    (path,) = directory.iterdir()
    return path


def test_a_torn_tail_of_a_spill_file_costs_the_last_group_only(tmp_path):
    path = left_behind(tmp_path / "spill", tmp_path / "records.db")
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        with path.open("rb", buffering=0) as file:
            found = [row for group in frames(file) for row in group]
        assert found == rows(0, 9)[: len(found)]
        assert len(found) == 3 * (3 * cut // len(whole))
    path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    with path.open("rb", buffering=0) as file:
        assert len(list(frames(file))) == 2


def test_a_spill_file_of_a_living_process_is_left_to_it(tmp_path):
    one = Spill(tmp_path / "spill", tmp_path / "records.db", sync=False)
    one.take(rows(0), "full")
    other = Spill(tmp_path / "spill", tmp_path / "records.db", sync=False)
    assert (one.waiting, other.waiting) == (True, False)
    assert not Spill(tmp_path / "spill", tmp_path / "another.db", sync=False).waiting
    one.close()
    heir = Spill(tmp_path / "spill", tmp_path / "records.db", sync=False)
    assert heir.waiting
    heir.close()


def test_rows_given_back_twice_are_there_once_and_in_order(tmp_path):
    path = left_behind(tmp_path / "spill", tmp_path / "records.db")
    whole = path.read_bytes()
    for _ in range(2):
        log = RecordLog(tmp_path / "records.db", "process", "spill", tmp_path / "spill")
        log.close()
        path.write_bytes(whole)
    log = RecordLog(tmp_path / "records.db", "process")
    assert [(r.id, r.inputs["x"]) for r in log.read()] == [(f"{k:03d}", k) for k in range(9)]
    log.close()


def test_a_spill_directory_that_is_full_too_refuses(tmp_path, monkeypatch):
    log = RecordLog(tmp_path / "records.db", "process", "spill", tmp_path / "spill")
    log.write([])
    with log.connection() as connection:
        size = connection.execute("PRAGMA page_count").fetchone()[0]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Spill, "take", full)
    # Each new connection of the writer finds the database at its largest size.
    monkeypatch.setattr("roadworthy.store.records.Insert", lambda connection: full_at(connection, size), raising=True)
    again = RecordLog(tmp_path / "records.db", "process", "spill", tmp_path / "spill")
    with pytest.raises(StoreError, match=r"not recorded: .*SQLITE_FULL.*; and not spilled: .*No space left"):
        again.write([Record("big", 0.0, "r", "stable", {"x": "x" * 100_000}, {})])
    again.close()
    log.close()


def full_at(connection, pages: int):
    from roadworthy.store.rows import Insert

    connection.execute(f"PRAGMA max_page_count = {pages}")
    return Insert(connection)


def test_drops_are_said_once_and_again_every_minute(caplog):
    time = [0.0]
    drop = Drop(now=lambda: time[0])
    for now in (0.0, 1.0, 59.0, 60.0, 61.0, 130.0):
        time[0] = now
        drop.take(rows(0), "full")
    assert [record.getMessage().split()[0] for record in caplog.records] == ["3", "12", "18"]


def test_only_a_full_disk_is_one():
    assert is_full(OSError(errno.ENOSPC, "x"))
    assert is_full(OSError(errno.EDQUOT, "x"))
    assert not is_full(OSError(errno.ENOENT, "x"))
    assert not is_full(ValueError("x"))


def test_the_state_directory_takes_the_settings_of_the_log(tmp_path):
    with State.open(tmp_path / "project" / ".roadworthy", log=Log(when_full="spill", spill="aside")) as state:
        state.records.write([Record("a", 1.0, "r", "stable", {}, {})])
    assert (tmp_path / "project" / "aside").is_dir()
