"""A damaged segment is found, told by its name and left out; all others are read, and a restored one comes back."""

from __future__ import annotations

import logging
import os
import shutil

import pytest

from roadworthy.core.errors import Missing
from roadworthy.core.record import Label, Record
from roadworthy.core.spec import Log
from roadworthy.store.id_index import IdIndex, hashes, write_index
from roadworthy.store.records import RecordLog
from roadworthy.store.sealing import seal
from roadworthy.store.segments import CorruptSegment

pytest.importorskip("polars")

NOW = 1e6


@pytest.fixture
def three(log: RecordLog) -> RecordLog:
    """Three segments of ten rows, and five hot ones."""
    for turn in range(3):
        log.write(
            [Record(f"id-{k:02d}", float(k), "r", "stable", {"x": k}, {}) for k in range(10 * turn, 10 * turn + 10)]
        )
        seal(log, Log(seal_rows=1, hot_minutes=0), 100.0)
    log.write([Record(f"id-{k:02d}", float(k), "r", "stable", {"x": k}, {}) for k in range(30, 35)])
    return log


def file_of(log: RecordLog, number: int) -> str:
    return str(log.path.with_name("segments") / log.segments()[number].file)


def damage(path: str) -> None:
    """Other bytes in the middle, and the same length."""
    with open(path, "r+b") as file:  # noqa: PTH123
        file.seek(200)
        file.write(b"\xff" * 40)


def xs(log: RecordLog, **filters) -> list[int]:
    return [record.inputs["x"] for record in log.read(**filters)]


WITHOUT_SECOND = [*range(10), *range(20, 35)]


def test_a_check_of_whole_segments_finds_nothing(three):
    report = three.verify(NOW)
    assert (report.segments, report.rows, report.damaged, report.strays) == (3, 30, (), ())


def test_a_damaged_segment_is_found_by_the_check_and_told(three, caplog):
    damage(file_of(three, 1))
    report = three.verify(NOW)
    assert report.lost == 10
    assert f"segment `{file_of(three, 1)}` is damaged: its SHA-256 is now" in report.damaged[0]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert xs(three) == WITHOUT_SECOND
    assert three.count() == 25
    assert three.counts() == {("r", "stable"): 25}
    assert three.scan().collect().height == 25
    assert [segment.state for segment in three.segments()] == ["live", "corrupt", "live"]
    assert three.verify(NOW).lost == 10
    with pytest.raises(Missing, match=r"10 records lie in damaged segments \(`000000000000011.parquet`\)"):
        three.get("id-15")


@pytest.mark.parametrize("how", ["read", "scan", "get", "count"])
def test_a_segment_that_is_gone_is_noticed_by_whoever_reads_it(three, caplog, how):
    shutil.move(file_of(three, 1), file_of(three, 1) + ".away")
    {
        "read": three.read,
        "scan": lambda: three.scan().collect(),
        "get": lambda: three.read(ids=["id-15"]),
        "count": lambda: three.count(until=15.0),
    }[how]()
    assert "put in quarantine, its records are not read" in caplog.text
    assert file_of(three, 1) in caplog.text
    assert xs(three) == WITHOUT_SECOND


def test_where_exactness_is_asked_the_file_is_named(three, caplog):
    shutil.move(file_of(three, 1), file_of(three, 1) + ".away")
    for ask in (three.read, three.count, lambda **how: three.scan(**how).collect()):
        with pytest.raises(CorruptSegment, match=r"segment `.*11.parquet`"):
            ask(exact=True)
    assert len(three.read(until=10.0, exact=True)) == 10


def test_a_segment_that_was_restored_comes_back(three, caplog):
    whole = file_of(three, 1) + ".backup"
    shutil.copy(file_of(three, 1), whole)
    damage(file_of(three, 1))
    three.verify(NOW)
    assert xs(three) == WITHOUT_SECOND
    assert three.write_labels([Label("id-15", 1.0, 50.0)]).kept == 1
    shutil.copy(whole, file_of(three, 1))
    assert three.verify(NOW + 1).healed == ("000000000000011.parquet",)
    assert xs(three) == list(range(35))
    assert three.get("id-15")[0].label == 1.0


def test_a_segment_of_which_rows_were_recorded_anew_stays_aside(three, caplog):
    whole = file_of(three, 1) + ".backup"
    shutil.copy(file_of(three, 1), whole)
    damage(file_of(three, 1))
    three.verify(NOW)
    three.write([Record("id-15", 15.0, "r", "stable", {"x": -15}, {})])
    assert xs(three, ids=["id-15"]) == [-15]
    shutil.copy(whole, file_of(three, 1))
    for turn in range(2):
        report = three.verify(NOW + turn)
        assert report.healed == ()
        assert "is whole again, but 1 of its records were recorded anew" in report.damaged[0]
        assert xs(three, ids=["id-15"]) == [-15]
        seal(three, Log(seal_rows=1, hot_minutes=0), 100.0)


def test_every_cut_of_the_last_4_kb_is_found_and_the_others_are_read(three, caplog):
    path = three.path.with_name("segments") / three.segments()[1].file
    whole = path.read_bytes()
    for cut in range(len(whole) - 1, max(0, len(whole) - 4096) - 1, -1):
        os.truncate(path, cut)
        with pytest.raises(CorruptSegment):
            three.sealed.segments.frame(three.segments()[1])
    assert xs(three) == WITHOUT_SECOND
    path.write_bytes(whole)
    three.verify(NOW)
    assert xs(three) == list(range(35))


def test_an_index_that_is_gone_or_torn_is_made_again(three):
    index = three.path.with_name("segments") / f"{three.segments()[0].file}.ids"
    whole = index.read_bytes()
    for torn in (None, b"", whole[:-1], b"\0" * len(whole)):
        index.unlink() if torn is None else index.write_bytes(torn)
        again = RecordLog(three.path)
        assert [r.inputs["x"] for r in again.get("id-03")] == [3]
        again.close()
        assert index.read_bytes() == whole
    index.write_bytes(whole[:20] + b"\0\0\0\0" + whole[24:])
    again = RecordLog(three.path)
    assert again.verify(NOW).indexed == (three.segments()[0].file,)
    assert index.read_bytes() == whole
    again.close()


def test_a_file_that_no_sealing_vouches_for_is_told_and_left(three):
    stray = three.path.with_name("segments") / "999.parquet"
    shutil.copy(file_of(three, 0), stray)
    assert three.verify(NOW).strays == ("999.parquet",)
    assert three.count() == 35
    assert stray.exists()


def test_an_index_finds_the_rows_of_each_id(tmp_path):
    ids = [f"id-{k % 700}" for k in range(1000)]
    write_index(tmp_path / "x.ids", ids)
    index = IdIndex(tmp_path / "x.ids")
    assert index.whole()
    assert index.rows(hashes(["id-5", "id-699", "nobody"])).tolist() == [5, 699, 705]
    assert index.holds(hashes(["id-5", "nobody"])).tolist() == [True, False]
    write_index(tmp_path / "none.ids", [])
    assert IdIndex(tmp_path / "none.ids").holds(hashes(["a"])).tolist() == [False]
    # They lie in files: another version must find them.
    assert [hex(found) for found in hashes(["a", "Ä"])] == ["0x2f42665b399ef840", "0xcac6def1fc035bdc"]
