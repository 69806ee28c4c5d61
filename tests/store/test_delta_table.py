"""A Delta table of ours: rows are there once, whoever dies or comes at the same time, under whatever names."""

from __future__ import annotations

import threading
from pathlib import Path

import polars as pl
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.store.delta_table import Overtaken, Table
from roadworthy.store.files import StoreError

pytest.importorskip("deltalake")


def nothing() -> pl.DataFrame:
    return pl.DataFrame(schema={"day": pl.String, "id": pl.String})


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(str(tmp_path / "table"), nothing, "day")


def frame(*ids: str, **more: object) -> pl.DataFrame:
    return pl.DataFrame(
        {"day": ["2013-09-01"] * len(ids), "id": list(ids), **more},
        schema_overrides={"day": pl.String, "id": pl.String},
    )


def test_a_table_that_nobody_has_written_is_empty(table):
    assert table.scan().collect().equals(nothing())
    assert table.numbers(["a"]) == {"a": None}
    assert table.compact()["files_before"] == 0


def test_rows_and_numbers_are_there_together(table):
    table.append(frame("a", "b"), {"w": 7, "v": 1}, {"w": None})
    assert table.scan().collect()["id"].to_list() == ["a", "b"]
    assert table.numbers(["w", "v", "u"]) == {"w": 7, "v": 1, "u": None}
    table.append(frame(), {"w": 8}, {"w": 7})
    assert (table.numbers(["w"]), table.scan().collect().height) == ({"w": 8}, 2)


def test_who_was_overtaken_writes_nothing(table):
    table.append(frame("a"), {"w": 7}, {"w": None})
    for expected in ({"w": None}, {"w": 6}, {"w": 7, "v": 0}):
        with pytest.raises(Overtaken):
            table.append(frame("b"), {"w": 8}, expected)
    assert table.scan().collect()["id"].to_list() == ["a"]


def test_of_two_at_the_same_number_one_writes_and_others_all_do(table):
    """Each of 4 threads has numbers of its own; two more fight for one number."""
    lost: list[str] = []

    def write(who: str, number_of: str) -> None:
        for k in range(8):
            expected = {number_of: k - 1 if k else None}
            try:
                table.append(frame(f"{who}-{k}", **{f"c{who}{k % 3}": [1.0]}), {number_of: k}, expected)
            except Overtaken:
                lost.append(f"{who}-{k}")
                while (table.numbers([number_of])[number_of] or 0) < k:
                    pass

    names = {"a": "a", "b": "b", "c": "shared", "d": "shared"}
    threads = [threading.Thread(target=write, args=item) for item in names.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    ids = table.scan().collect()["id"].to_list()
    assert len(ids) == len(set(ids)) == 24
    assert len(lost) == 8
    assert {who: sum(id.startswith(who) for id in ids) for who in "ab"} == {"a": 8, "b": 8}
    assert {id[2:] for id in ids if id[0] in "cd"} == set("01234567")


def test_columns_come_and_go(table):
    table.append(frame("a", x=[1.0]), {}, {})
    table.append(frame("b", y=["t"]), {}, {})
    table.append(frame("c"), {}, {})
    found = table.scan().sort("id").collect()
    assert (found["x"].to_list(), found["y"].to_list()) == ([1.0, None, None], [None, "t", None])


@pytest.mark.parametrize(
    ("values", "together"),
    [
        ([[1], [2.5]], [1.0, 2.5]),
        ([[1.5], [2]], [1.5, 2.0]),
        ([[1.5], ["text"], [2]], ["1.5", "text", "2.0"]),
        ([["text"], [1.5]], ["text", "1.5"]),
        ([[True], ["text"]], ["true", "text"]),
        ([[[1.0, 2.0]], [3.0]], [None, 3.0]),
        ([[[1.0]], [[2]]], [[1.0], [2.0]]),
    ],
)
def test_a_name_that_changes_its_type_is_one_column_still(table, values, together):
    for number, value in enumerate(values):
        table.append(frame(str(number), x=value), {}, {})
    assert table.scan().sort("id").collect()["x"].to_list() == together
    assert sorted(table.scan().collect_schema().names()) == ["day", "id", "x"]


def test_names_may_be_anything(table):
    names = [f"i.{name}" for name in ("a b", "a;{}()=,", "X", "x", "x#1", "#", "", "é\n\"'`", "a.b")]
    table.append(frame("a", **{name: [1.0] for name in names[:4]}), {}, {})
    table.append(frame("b", **{name: [2.0] for name in names}), {}, {})
    table.append(frame("c", **{name: ["t"] for name in reversed(names)}), {}, {})
    found = table.scan().sort("id").collect()
    for name in names:
        assert found[name].to_list() == ["1.0" if name in names[:4] else None, "2.0", "t"], name


def test_many_small_files_become_few_and_nothing_else_changes(table):
    for k in range(6):
        table.append(frame(f"{k}", x=[float(k)]), {"w": k}, {"w": k - 1 if k else None})
    before = table.scan().sort("id").collect()
    told = table.compact(keep_hours=0)
    assert (told["files_after"], told["files_removed"]) == (1, 6)
    assert table.scan().sort("id").collect().equals(before)
    assert table.numbers(["w"]) == {"w": 5}  # also from the checkpoint
    table.append(frame("6"), {"w": 6}, {"w": 5})
    assert table.scan().collect().height == 7


def test_a_store_that_does_not_answer_is_named(tmp_path):
    options = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "us-east-1",
        "max_retries": "0",
        "timeout": "1s",
        "connect_timeout": "1s",
    }
    away = Table("s3://bucket/t", nothing, options=options)
    with pytest.raises(StoreError, match=r"s3://bucket/t.*check that the store answers"):
        away.append(frame("a"), {}, {})
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"file.*check that the store answers"):
        Table(str(tmp_path / "file"), nothing).append(frame("a"), {}, {})


def test_a_key_may_come_from_the_environment(monkeypatch):
    table = Table("s3://b/t", nothing, options={"AWS_SECRET_ACCESS_KEY": "$OUR_KEY", "AWS_REGION": "eu"})
    monkeypatch.setenv("OUR_KEY", "secret")
    assert table.storage_options == {"AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu"}
    monkeypatch.delenv("OUR_KEY")
    with pytest.raises(SpecError, match="`OUR_KEY`, which the option 'AWS_SECRET_ACCESS_KEY'"):
        _ = table.storage_options
