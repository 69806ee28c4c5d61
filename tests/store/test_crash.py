"""What was acknowledged survives `kill -9`, a torn tail and a full disk; what cannot be read says which file it is."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from roadworthy.core.record import Record
from roadworthy.store import files
from roadworthy.store.files import StoreError, connect
from roadworthy.store.records import RecordLog

APPENDER = """
import asyncio, os, sys
from pathlib import Path
from roadworthy.core.record import Record
from roadworthy.store.records import RecordLog

log, first = RecordLog(Path(sys.argv[1]), sys.argv[2]), int(sys.argv[3])

async def client(name):
    k = first
    while True:
        id = f"{name}-{k}"
        await log.append(lambda: [Record(id, float(k), "r", "stable", {"x": k}, {})])
        os.write(1, f"{id}\\n".encode())
        k += 1

async def main():
    await asyncio.gather(*map(client, "abcdefgh"))

asyncio.run(main())
"""


def acknowledged(path: Path, durability: str, first: int, lines: int) -> list[str]:
    """The ids that a process acknowledged until it was killed, somewhere after the given number of them."""
    command = [sys.executable, "-c", APPENDER, str(path), durability, str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        heard = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        heard += child.stdout.readlines()
    # The pipe may end in the middle of a line; that one was not acknowledged to anybody.
    return [line.decode().strip() for line in heard if line.endswith(b"\n")]


@pytest.mark.parametrize("durability", ["process", "power"])
def test_every_acknowledged_record_survives_kill_9_exactly_once(tmp_path, durability):
    rng = random.Random(7)
    path, promised = tmp_path / "records.db", set()
    for kill in range(5):
        # Each life begins with ids of the one before, as clients do who got no answer and ask again.
        promised.update(acknowledged(path, durability, 5 * kill, rng.randint(20, 400)))
    log = RecordLog(path)
    found = [r.id for r in log.read()]
    log.close()
    assert len(promised) > 60
    assert len(found) == len(set(found))
    assert promised <= set(found)


def test_a_tail_torn_by_a_power_cut_costs_the_last_rows_only(tmp_path):
    path = tmp_path / "records.db"
    log = RecordLog(path)
    for k in range(12):
        log.write([Record(f"{k:02d}", float(k), "r", "stable", {}, {})])
    whole = Path(f"{path}-wal").stat().st_size
    rng = random.Random(3)
    for cut in sorted(rng.randint(0, whole) for _ in range(20)):
        torn = tmp_path / f"torn{cut}.db"
        shutil.copy(path, torn)
        Path(f"{torn}-wal").write_bytes(Path(f"{path}-wal").read_bytes()[:cut])
        again = RecordLog(torn)
        found = [r.id for r in again.read()]
        again.write([Record("next", 99.0, "r", "stable", {}, {})])
        again.close()
        assert found == [f"{k:02d}" for k in range(len(found))]
    log.close()


@pytest.mark.slow
def test_a_log_cut_anywhere_in_its_last_4_kb_keeps_all_rows_acknowledged_before_the_cut(tmp_path):
    path, acknowledged_at = tmp_path / "records.db", []
    log = RecordLog(path, "power")
    wal = Path(f"{path}-wal")
    for k in range(12):
        log.write([Record(f"{k:02d}", float(k), "r", "stable", {"x": k}, {})])
        acknowledged_at.append(wal.stat().st_size)
    whole = wal.read_bytes()
    # In memory where there is such a place: each of 4,097 logs is opened and closed.
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else tmp_path))
    torn = place / "torn.db"
    for cut in range(len(whole) - 4096, len(whole) + 1):
        shutil.copy(path, torn)
        Path(f"{torn}-wal").write_bytes(whole[:cut])
        with closing(RecordLog(torn, "process")) as again:
            found = [(r.id, r.inputs) for r in again.read()]
        safe = sum(size <= cut for size in acknowledged_at)
        assert len(found) >= safe, cut
        assert found == [(f"{k:02d}", {"x": k}) for k in range(len(found))], cut
    assert len(found) == 12
    shutil.rmtree(place)
    log.close()


def filled(path: Path) -> Path:
    log = RecordLog(path, "process")
    log.write([Record(f"{k}", float(k), "r", "stable", {"text": "x" * 200}, {}) for k in range(500)])
    log.close()
    return path


def test_garbage_is_refused_by_name(tmp_path):
    path = tmp_path / "records.db"
    path.write_bytes(random.Random(0).randbytes(50_000))
    with pytest.raises(StoreError, match=r"`.*records.db`: .*SQLITE_NOTADB.*restore it from a backup"):
        RecordLog(path)


def test_a_file_cut_in_half_is_refused_by_name(tmp_path):
    path = filled(tmp_path / "records.db")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StoreError, match=r"`.*records.db`: .*SQLITE_CORRUPT.*torn or overwritten"):
        RecordLog(path)


def test_pages_overwritten_in_the_middle_are_named_when_they_are_read(tmp_path):
    path = filled(tmp_path / "records.db")
    body = bytearray(path.read_bytes())
    body[8192:-4096] = b"\xff" * (len(body) - 12288)
    path.write_bytes(body)
    log = RecordLog(path)
    with pytest.raises(StoreError, match=r"`.*records.db`: "):
        log.read()
    log.close()


def test_a_database_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "records.db"
    other = connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(StoreError, match="not a record log; move it aside"):
        RecordLog(path)


def test_a_log_of_a_newer_version_asks_for_an_upgrade(tmp_path):
    path = filled(tmp_path / "records.db")
    newer = connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match="has version 99, this Roadworthy reads up to 3: upgrade roadworthy"):
        RecordLog(path)


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"`.*gone/records.db`: .*check that its directory exists"):
        RecordLog(tmp_path / "gone" / "records.db")


def test_a_lock_held_by_another_fails_the_waiting_and_later_writes_work(log, monkeypatch):
    monkeypatch.setattr(files, "BUSY_SECONDS", 0.05)
    one = Record("one", 0.0, "r", "stable", {}, {})
    other = connect(log.path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"not recorded: `.*records.db`: database is locked .SQLITE_BUSY.; another"):
        log.write([one])
    other.execute("ROLLBACK")
    other.close()
    log.write([one])
    assert log.count() == 1


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from roadworthy.core.record import Record
from roadworthy.store.records import RecordLog

def rows(k):
    return [Record(f"{k}", float(k), "r", "stable", {"text": "x" * 3000}, {})]

async def main():
    log = RecordLog(Path(sys.argv[1]))
    await log.append(lambda: rows(0))
    # No file may grow beyond this: what a full disk does, without filling one.
    size = Path(sys.argv[1] + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    answers = await asyncio.gather(*(log.append(lambda k=k: rows(k)) for k in range(1, 40)), return_exceptions=True)
    print({type(answer).__name__ for answer in answers}, flush=True)
    print(answers[0], flush=True)
    print([r.id for r in log.read()], flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await asyncio.gather(*(log.append(lambda k=k: rows(k)) for k in range(1, 40)))
    print(log.count(), flush=True)
    log.close()

asyncio.run(main())
"""


def test_a_full_disk_fails_the_waiting_with_a_sentence_and_the_log_goes_on_when_there_is_space(tmp_path):
    path = tmp_path / "records.db"
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0] == "{'StoreError'}"
    assert said[1].startswith(f"not recorded: `{path}`: ")
    assert said[2:] == ["['0']", "40"]
