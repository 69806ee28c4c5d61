"""Old rows move into segments while others write and read: any reader reads each of them once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from roadworthy.core.record import Label, Record
from roadworthy.core.spec import Log
from roadworthy.store import sealing, segments
from roadworthy.store.files import StoreError, connect
from roadworthy.store.records import RecordLog
from roadworthy.store.sealing import SealReport, seal

pytest.importorskip("polars")

HOT = 3600.0
SETTINGS = Log(seal_rows=10, hot_minutes=60.0)
NEVER = SETTINGS.seal_minutes * 60


def row(k: int, at: float | None = None, id: str = "", **more) -> Record:
    release, arm = more.pop("release", "new" if k % 2 else "old"), more.pop("arm", "stable")
    return Record(id or f"id-{k:04d}", float(k) if at is None else at, release, arm, {"x": k}, {"p": k / 2}, **more)


@pytest.fixture
def half(log: RecordLog) -> RecordLog:
    """A log of thirty rows, twenty of which are sealed, in two segments."""
    log.write([row(k) for k in range(20)])
    assert seal(log, SETTINGS, HOT + 20, most_rows=10).rows == 20
    log.write([row(k, at=HOT + k) for k in range(20, 30)])
    return log


@pytest.mark.parametrize(("after", "upto"), [(0, 5), (3, 14), (8, 25), (18, 22), (20, 30), (10, 20)])
def test_positions_bound_what_is_read_sealed_or_not(half, after, upto):
    assert [r.inputs["x"] for r in half.read(after=after, upto=upto)] == list(range(after, upto))


def test_sealed_rows_leave_the_file_and_are_read_as_before(log):
    written = [row(k, seconds={"total": 0.5}, tags={"carrier": "UA"}) for k in range(25)]
    log.write(written)
    report = seal(log, SETTINGS, HOT + 20)
    assert (report.rows, report.files, report.doubles, report.why) == (20, ("000000000000001.parquet",), 0, "")
    with log.connection() as connection:
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (5,)
    assert log.read() == written
    assert [repr(r.inputs["x"]) for r in log.read(until=2.0)] == ["0", "1"]


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (HOT - 1, "no record is older than 60 minutes"),
        (HOT + 5, "5 records are not 10 yet, nor 1440 minutes old"),
        (HOT + 10, ""),
        (NEVER, ""),
    ],
)
def test_rows_are_sealed_when_there_are_enough_of_them_or_the_oldest_is_old(log, now, why):
    log.write([row(k) for k in range(20)])
    assert seal(log, SETTINGS, now).why == why


def test_all_filters_choose_among_hot_and_sealed_rows_and_count_agrees(half):
    for filters, ids in [
        ({}, range(30)),
        ({"since": 5.0}, range(5, 30)),
        ({"until": 15.0}, range(15)),
        ({"since": 8.0, "until": 12.0}, range(8, 12)),
        ({"since": 0.0, "until": 20.0}, range(20)),
        ({"release": "new"}, range(1, 30, 2)),
        ({"release": "new", "until": 10.0}, range(1, 10, 2)),
        ({"arms": ["canary"]}, []),
        ({"arms": ["stable"], "since": 18.0}, range(18, 30)),
        ({"ids": ["id-0003", "id-0025", "nobody"]}, [3, 25]),
        ({"ids": [f"id-{k:04d}" for k in range(4, 16)]}, range(4, 16)),
        ({"after": 5}, range(5, 30)),
        ({"after": 22}, range(22, 30)),
        ({"after": 10, "release": "old"}, range(10, 30, 2)),
    ]:
        assert [r.inputs["x"] for r in half.read(**filters)] == list(ids), filters
        assert half.count(**filters) == len(list(ids)), filters
    assert half.counts() == {("old", "stable"): 15, ("new", "stable"): 15}
    assert half.position() == 30


def test_one_id_is_found_wherever_it_lies(half):
    for k in (0, 9, 10, 19, 20, 29):
        assert [r.inputs["x"] for r in half.get(f"id-{k:04d}")] == [k]


def test_the_rows_of_a_sealed_request_are_named(log):
    log.write([row(k, id=f"many.{k}") for k in range(12)])
    seal(log, SETTINGS, HOT + 20)
    with pytest.raises(LookupError, match=r"several rows: ask for 'many.0', 'many.1'"):
        log.get("many")


def test_positions_go_on_after_everything_was_sealed(log):
    log.write([row(k) for k in range(12)])
    seal(log, SETTINGS, HOT + 20)
    seen = log.position()
    log.write([row(12)])
    assert (seen, log.position(), [r.inputs["x"] for r in log.read(after=seen)]) == (12, 13, [12])
    seal(log, SETTINGS, HOT + 20, at_once=True)
    again = RecordLog(log.path)
    again.write([row(13)])
    assert [r.inputs["x"] for r in again.read(after=seen)] == [12, 13]
    again.close()


def test_an_id_that_is_sealed_already_is_not_read_twice_and_put_aside_when_it_would_be_sealed(half):
    again = Record("id-0003", HOT + 99.0, "old", "stable", {}, {})
    half.write([again, row(3, at=HOT + 99.0, arm="shadow"), row(5, at=HOT + 99.0, error="late")])
    assert [(r.at, r.arm) for r in half.get("id-0003")] == [(3.0, "stable"), (HOT + 99.0, "shadow")]
    assert [(r.at, r.error) for r in half.get("id-0005")] == [(5.0, None), (HOT + 99.0, "late")]
    assert half.count() == len(half.read()) == 32
    assert half.scan().collect().height == 32
    report = seal(half, SETTINGS, 2 * HOT + 200)
    assert (report.rows, report.doubles) == (12, 1)
    assert [(record, why) for record, why in half.aside()] == [(again, "its id is sealed already")]
    assert half.count() == len(half.read()) == 32


def test_nothing_but_doubles_makes_no_file_and_is_over(log):
    log.write([row(k) for k in range(12)])
    seal(log, SETTINGS, HOT + 20)
    log.write([row(k) for k in range(12)])
    report = seal(log, SETTINGS, HOT + 20)
    assert (report.files, report.doubles) == ((), 11)  # the newest row was still where it was
    assert seal(log, SETTINGS, HOT + 20).doubles == 0
    assert log.count() == 12
    log.write([row(40)])
    assert log.count() == 13


def test_labels_join_sealed_rows_whenever_they_come(log):
    log.write_labels([Label("id-0001", 1.0, 5.0)])  # overtook its record
    log.write([row(k) for k in range(12)])
    log.write_labels([Label("id-0002", 1.0, 6.0)])
    seal(log, SETTINGS, HOT + 20)
    late = log.write_labels([Label("id-0003", 0.0, 7.0), Label("nobody", 1.0, 7.0), Label("id-0002", 0.0, 8.0)])
    assert (late.kept, [label.id for label in late.unknown], len(late.conflicting)) == (1, ["nobody"], 1)
    assert [(r.label, r.label_at) for r in log.read(until=4.0)] == [(None, None), (1.0, 5.0), (1.0, 6.0), (0.0, 7.0)]
    assert log.get("id-0003")[0].label == 0.0


def test_a_label_that_overtook_its_record_joins_when_that_is_sealed(log):
    log.write_labels([Label("id-0001", 1.0, 5.0)])
    log.write([row(k) for k in range(12)])
    seal(log, SETTINGS, HOT + 20)
    assert (log.get("id-0001")[0].label, log.labels_aside()) == (1.0, [])


def test_a_clock_that_jumps_back_loses_doubles_and_disorders_nothing(log):
    ahead = 50 * HOT
    log.write([row(k, at=ahead + k) for k in range(15)])  # written by a clock that was ahead
    log.write([row(k) for k in range(15, 30)])
    assert seal(log, SETTINGS, HOT + 30).rows == 30
    log.write([row(k) for k in range(30, 35)])
    found = [r.inputs["x"] for r in log.read()]
    assert found == [*range(15, 35), *range(15)]
    assert [r.inputs["x"] for r in log.read(since=ahead)] == list(range(15))
    assert log.scan(until=HOT).collect().height == 20


def test_old_rows_behind_young_ones_wait_for_those(log):
    log.write([row(k, at=HOT) for k in range(3)])
    log.write([row(k) for k in range(3, 15)])
    assert "came after younger ones" in seal(log, SETTINGS, HOT + 30).why
    assert seal(log, SETTINGS, 2 * HOT + 30).rows == 15


class Died(BaseException):
    """Stands for `kill -9`: nothing of ours catches it."""


@pytest.mark.parametrize("step", ["sync", "write_index", "add", "sweep"])
def test_a_death_at_any_step_loses_and_doubles_nothing(half, monkeypatch, step):
    before = half.read()

    def die(*_: object, **__: object) -> None:
        raise Died

    where = sealing if step == "sweep" else segments
    with monkeypatch.context() as dying:
        dying.setattr(where, step, die)
        with pytest.raises(Died):
            seal(half, SETTINGS, 2 * HOT + 30)
    assert half.read() == before
    assert half.count() == 30
    seal(half, SETTINGS, 2 * HOT + 30)
    assert half.read() == before
    assert [s.rows for s in half.segments()] == [10, 10, 10]
    assert sorted(path.suffix for path in half.path.with_name("segments").iterdir()) == sorted(
        [".lock"] + [".parquet", ".ids"] * 3
    )


def test_a_full_disk_seals_nothing_and_says_so(half, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as filled:
        filled.setattr(segments, "write_index", full)
        with pytest.raises(StoreError, match="No space left on device; free some space, all records are still in"):
            seal(half, SETTINGS, 2 * HOT + 30)
    assert half.count() == 30


def test_of_two_at_a_time_one_seals(half):
    with sealing._turn(half.path.with_name("segments")) as mine:
        assert mine
        assert seal(half, SETTINGS, 2 * HOT + 30) == SealReport(why="another process is sealing")


SEALER = """
import sys, time
from pathlib import Path
from roadworthy.core.spec import Log
from roadworthy.store.records import RecordLog
from roadworthy.store.sealing import seal

log = RecordLog(Path(sys.argv[1]), "process")
print("ready", flush=True)
for line in sys.stdin:
    print(seal(log, Log(seal_rows=1, hot_minutes=0), float(line)).rows, flush=True)
log.close()
"""


def test_another_process_seals_while_this_one_writes_and_reads(log):
    """Readers in between see every acknowledged row exactly once."""
    written = []

    async def append_some(first: int) -> None:
        for k in range(first, first + 40):
            await log.append(lambda k=k: [row(k)])
            written.append(k)

    with subprocess.Popen(
        [sys.executable, "-c", SEALER, str(log.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "ready\n"
        over = threading.Event()
        wrong = []

        def look() -> None:
            while not over.is_set():
                least = list(written)
                found = [r.inputs["x"] for r in log.read()]
                if len(found) != len(set(found)) or not set(least) <= set(found):
                    wrong.append((least[-1:], found))

        looking = threading.Thread(target=look)
        looking.start()
        sealed = 0
        for turn in range(8):
            asyncio.run(append_some(40 * turn))
            other.stdin.write(f"{40 * turn + 20}\n")
            other.stdin.flush()
            asyncio.run(append_some(10_000 + 40 * turn))
            sealed += int(other.stdout.readline())
        over.set()
        looking.join()
        other.stdin.close()
        assert other.wait(timeout=30) == 0
    assert wrong == []
    assert sealed > 100
    assert sorted(r.inputs["x"] for r in log.read()) == sorted(written)


def test_a_version_2_file_gets_the_tables_of_segments(tmp_path):
    path = tmp_path / "records.db"
    log = RecordLog(path, "process")
    log.write([row(k) for k in range(12)])
    log.close()
    older = connect(path)
    for table in ("segments", "records_aside", "gaps"):
        older.execute(f"DROP TABLE {table}")
    older.execute("PRAGMA user_version = 2")
    older.close()
    log = RecordLog(path, "process")
    assert seal(log, SETTINGS, HOT + 20).rows == 12
    assert log.count() == 12
    log.close()


SMALL = """
import sys
from pathlib import Path
from roadworthy.core.record import Record
from roadworthy.store.records import RecordLog

log = RecordLog(Path(sys.argv[1]))
log.write([Record("a", 1.0, "r", "stable", {}, {})])
assert log.count() == 1 and log.get("a") and log.read(after=0)
log.close()
assert not {"polars", "numpy"} & set(sys.modules)
"""


def test_a_process_that_never_seals_loads_no_polars(tmp_path: Path):
    subprocess.run([sys.executable, "-c", SMALL, str(tmp_path / "records.db")], check=True)
