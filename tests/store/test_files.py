"""A connection is as durable as it was asked to be, and an error of the disk is a sentence with a next step."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from roadworthy.store.files import StoreError, connect, naming


@pytest.mark.parametrize(("durability", "level"), [("process", 1), ("power", 2)])
def test_power_syncs_every_commit_and_process_does_not(tmp_path, durability, level):
    connection = connect(tmp_path / "x.db", durability)
    assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_an_error_names_file_code_and_next_step(tmp_path):
    path = tmp_path / "x.db"
    connection = connect(path)
    connection.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreError) as raised, naming(path):
        connection.execute("CREATE TABLE x (y)")
    connection.close()
    assert str(raised.value) == (
        f"`{path}`: attempt to write a readonly database (SQLITE_READONLY);"
        " this process may not write to it; give it the right to"
    )
    assert raised.value.status == 503


def test_an_error_without_advice_still_names_the_file(tmp_path):
    connection = connect(tmp_path / "x.db")
    with (
        pytest.raises(StoreError, match=r"`.*x\.db`: near .*: syntax error .*; see the cause"),
        naming(tmp_path / "x.db"),
    ):
        connection.execute("SELEC 1")
    connection.close()


def test_what_is_no_error_of_the_disk_passes_through(tmp_path):
    with pytest.raises(ZeroDivisionError), naming(tmp_path / "x.db"):
        raise ZeroDivisionError


def test_the_log_alone_loads_no_sqlalchemy():
    code = "import sys, roadworthy.store.records; assert not {'sqlalchemy', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
