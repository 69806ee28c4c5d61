"""The log of many hosts in Delta, on a disk and in S3: it is read as the log of one host is, with the same answers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pytest
from msgspec.structs import replace

from roadworthy.core.errors import Missing
from roadworthy.core.record import Label, Record
from roadworthy.store.base import Arrival
from roadworthy.store.delta_log import DeltaLog
from roadworthy.store.delta_rows import Sent, day_of
from roadworthy.store.envelopes import encode
from roadworthy.store.records import RecordLog
from roadworthy.testing.shipments import batch, odd_rows, rows

pytest.importorskip("deltalake")

DAY = 86_400.0


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """The options of a real S3 server on this machine, with a bucket named `log`."""
    with warnings.catch_warnings():
        # It reads the time with a function that Python 3.12 will remove.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        server_of = pytest.importorskip("moto.server")
        server = server_of.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
    host, port = server.get_host_and_port()
    options = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{options['AWS_ENDPOINT_URL']}/log", method="PUT")).close()
    yield options
    server.stop()


@pytest.fixture(params=["disk", "s3"])
def delta(request: pytest.FixtureRequest, tmp_path: Path) -> DeltaLog:
    if request.param == "disk":
        return DeltaLog(str(tmp_path / "delta"))
    return DeltaLog(f"s3://log/{tmp_path.name}", request.getfixturevalue("s3"))


@pytest.fixture
def disk(tmp_path: Path) -> DeltaLog:
    return DeltaLog(str(tmp_path / "delta"))


def sent(source: str, given: Sequence[Record | Label], after: int = 0) -> list[Sent]:
    return [Sent(source, a, encode(source, a)) for a in batch(source, given, after).arrivals]


def traffic() -> list[Record]:
    """Three days of two releases and three arms, failures among them, and odd rows."""
    made = []
    for k, row in enumerate(rows(60)):
        arm = ("stable", "canary", "shadow")[k % 3]
        failed = {"error": "timeout", "outputs": {}, "confidence": None} if k % 7 == 0 else {}
        made.append(replace(row, at=k * DAY / 20, arm=arm, release="ab"[k % 2] * 64, **failed))
    made += [replace(row, id=f"odd-{k}", at=k * DAY / 4) for k, row in enumerate(odd_rows())]
    # A request of several rows, and one that was asked again after it had failed; all at one moment.
    made += [replace(row, id=f"many.{k}", at=DAY) for k, row in enumerate(rows(12))]
    return [*made, replace(rows(1)[0], id="again", at=DAY, error="late"), replace(rows(1)[0], id="again", at=DAY)]


LABELS = [Label("row-00003", 1.0, 9.0, "review"), Label("row-00044", 0.0, 8.0), Label("again", 0.5, 7.0)]


def test_it_answers_as_the_log_of_one_host_does(delta, log):
    log.write(traffic())
    log.write_labels(LABELS)
    for start in range(0, len(traffic()), 30):
        delta.append(sent("host", traffic()[start : start + 30], start), {}, {})
    delta.append_labels(sent("host/labels", LABELS), {}, {})
    for asked in (
        {},
        {"since": DAY / 2},
        {"until": DAY},
        {"since": DAY, "until": DAY * 1.5},
        {"release": "a" * 64},
        {"arms": ["canary", "shadow"]},
        {"arms": []},
        {"ids": ["again", "odd-3", "row-00044", "nobody"]},
        {"since": 1e12},
        {"since": -1e15, "until": 1e15, "arms": ["fallback"]},
    ):
        assert delta.read(**asked) == log.read(**asked), asked
        assert delta.count(**asked) == log.count(**asked), asked
    assert delta.get("again") == log.get("again")
    assert all(len(record.id) for record in delta.get("again"))


def test_who_said_a_label_is_read_as_in_the_log_of_one_host(delta, log):
    log.write(traffic())
    log.write_labels(LABELS)
    delta.append(sent("host", traffic()), {}, {})
    delta.append_labels(sent("host/labels", LABELS), {}, {})
    delta.append_labels(sent("other/labels", LABELS[:1]), {}, {})  # which two hosts sent
    for asked in ({}, {"ids": ["again", "nobody"]}, {"since": DAY}, {"arms": ["stable"]}, {"since": 1e12}):
        assert delta.every_label(**asked) == log.every_label(**asked), asked
    assert delta.every_label(ids=["row-00003"]) == [Label("row-00003", 1.0, 9.0, "review")]


def test_the_frame_for_analysis_is_that_of_one_host(delta, log):
    plain = [row for row in traffic() if not row.id.startswith("odd")]
    log.write(plain)
    log.write_labels(LABELS)
    delta.append(sent("host", plain), {}, {})
    delta.append_labels(sent("host/labels", LABELS), {}, {})
    for span in ((None, None), (DAY / 2, DAY * 1.5), (1e12, None)):
        key = ["at", "id", "error"]
        here, there = (found.scan(*span).collect().sort(key, nulls_last=True) for found in (log, delta))
        # Delta knows all names that ever were, the log of one host those of the span.
        assert here.equals(there.select(here.columns)), span
        more = there.drop(here.columns)
        assert all(more[name].is_null().all() for name in more.columns), span
        assert there.columns[:10] == here.columns[:10]
    assert delta.scan().select(pl.col("tokens").sum()).collect().item() == 0


def test_a_log_that_nobody_has_written_to_is_empty(delta):
    assert (delta.read(), delta.count()) == ([], 0)
    assert delta.scan(0.0, 5.0).collect().height == 0
    assert {"id", "at", "label", "label_at"} <= set(delta.scan().collect_schema().names())
    with pytest.raises(Missing, match="no record with the id 'a'"):
        delta.get("a")


def test_an_id_that_is_not_there_is_told_with_those_that_are_near(disk):
    disk.append(sent("host", [replace(row, id=f"many.{k}") for k, row in enumerate(rows(3))]), {}, {})
    with pytest.raises(Missing, match=r"several rows: ask for 'many\.0', 'many\.1', 'many\.2'"):
        disk.get("many")
    with pytest.raises(Missing, match=r"did you mean 'many\.1'"):
        disk.get("man.1")
    with pytest.raises(Missing, match="`read` with `since`"):
        disk.get("zzz")


def test_what_two_hosts_sent_is_shown_once_and_always_the_same(disk):
    first, second = replace(rows(1)[0], usd=1.0), replace(rows(1)[0], usd=2.0)
    disk.append(sent("host-b", [second]), {}, {})
    disk.append(sent("host-a", [first]), {}, {})
    disk.append(sent("host-a", [first]), {}, {})
    assert (disk.read(), disk.count()) == ([first], 1)
    assert disk.scan().collect()["usd"].to_list() == [1.0]
    disk.compact(keep_hours=0)
    assert disk.read() == [first]


def test_the_label_that_was_known_first_stands(disk):
    disk.append(sent("host", rows(2)), {}, {})
    disk.append_labels(sent("host-b/labels", [Label("row-00001", 0.0, 20.0)]), {}, {})
    disk.append_labels(sent("host-a/labels", [Label("row-00001", 1.0, 10.0), Label("nobody", 1.0, 1.0)]), {}, {})
    assert [(r.label, r.label_at) for r in disk.read()] == [(None, None), (1.0, 10.0)]


def test_a_day_is_a_folder_and_others_are_not_opened(disk):
    disk.append(sent("host", [replace(row, at=k * DAY) for k, row in enumerate(rows(4))]), {}, {})
    folders = sorted(path.name for path in (Path(disk.uri) / "records").glob("day=*"))
    assert folders == ["day=1970-01-01", "day=1970-01-02", "day=1970-01-03", "day=1970-01-04"]
    for path in (Path(disk.uri) / "records" / "day=1970-01-01").iterdir():
        path.unlink()
    assert [record.id for record in disk.read(since=DAY)] == ["row-00001", "row-00002", "row-00003"]
    assert disk.scan(DAY, 2 * DAY).collect()["id"].to_list() == ["row-00001"]


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (0.0, "1970-01-01"),
        (-0.5, "1969-12-31"),
        (1378000000.0, "2013-09-01"),
        (1.378e12, "9999-12-31"),  # milliseconds, as somebody will send
        (-1e18, "0001-01-01"),
        (1e300, "9999-12-31"),
    ],
)
def test_every_time_has_a_day_and_is_found_by_it(disk, at, day):
    assert day_of(at) == day
    row = replace(rows(1)[0], at=at)
    disk.append(sent("host", [row]), {}, {})
    assert disk.read(since=at) == [row]
    assert disk.read(until=at) == []


def test_what_cannot_be_a_column_is_still_in_the_record(disk):
    row = replace(rows(1)[0], inputs={"deep": {"a": [1]}, "large": 2**63, "raw": b"\xff", "x": 1.0})
    disk.append(sent("host", [row]), {}, {})
    assert disk.read() == [row]
    shown = disk.scan().collect()
    assert shown["inputs.x"].to_list() == [1.0]
    assert "inputs.deep" not in shown.columns


def test_fields_that_come_and_go_leave_old_rows_readable(disk):
    old, new = (
        replace(rows(1)[0], inputs={"gone": 1, "both": "a"}),
        replace(rows(1, 1)[0], inputs={"both": "b", "new": 2.5}),
    )
    disk.append(sent("host", [old]), {}, {})
    disk.append(sent("host", [new]), {}, {})
    assert disk.read() == [old, new]
    shown = disk.scan().select("inputs.gone", "inputs.both", "inputs.new").collect()
    assert shown.rows() == [(1, "a", None), (None, "b", 2.5)]


def test_a_position_larger_than_the_last_changes_nothing(disk, log: RecordLog):
    """Ties in time come out in the order of arrival, whatever the order of the commits."""
    log.write([replace(row, at=5.0) for row in rows(6)])
    given = [replace(row, at=5.0) for row in rows(6)]
    disk.append(sent("host", given[3:], 3), {}, {})
    disk.append(sent("host", given[:3]), {}, {})
    assert disk.read() == log.read()
    assert isinstance(Arrival(1, given[0]), Arrival)
