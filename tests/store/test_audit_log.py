from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import URL, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from roadworthy.core.errors import RoadworthyError
from roadworthy.store.audit_log import BEGINNING, audited, read_audit, verify_audit, verify_export
from roadworthy.store.files import StoreError
from roadworthy.store.metadata import open_engine


def filled(engine: Engine, n: int = 20) -> list[str]:
    """The hashes of n entries."""
    hashes = []
    for k in range(n):
        with engine.begin() as connection:
            data = {"b": k, "a": [1.5]}
            hashes.append(audited(connection, 100.0 + k, f"person {k % 3}", "promoted", "flights", data))
    return hashes


def test_each_entry_is_chained_to_the_one_before(engine: Engine) -> None:
    hashes = filled(engine, 5)
    entries = list(read_audit(engine))
    assert [e.hash for e in entries] == hashes
    assert [e.previous for e in entries] == [BEGINNING, *hashes[:-1]]
    assert entries[2].data == {"a": [1.5], "b": 2}
    found = verify_audit(engine)
    assert (found.intact, found.entries, found.head) == (True, 5, hashes[-1])


def test_entries_are_found_by_time_person_and_subject(engine: Engine) -> None:
    filled(engine, 9)
    assert [e.at for e in read_audit(engine, since=102.0, until=105.0)] == [102.0, 103.0, 104.0]
    assert {e.by for e in read_audit(engine, by="person 1")} == {"person 1"}
    assert not list(read_audit(engine, subject="trains"))


def test_the_database_refuses_to_change_or_remove_an_entry(engine: Engine) -> None:
    filled(engine, 3)
    for statement in ("UPDATE audit SET at = 0", "DELETE FROM audit"):
        with pytest.raises((SQLAlchemyError, RoadworthyError), match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    assert verify_audit(engine).intact


def test_an_entry_of_a_transaction_that_fails_was_never_there(engine: Engine) -> None:
    filled(engine, 2)
    with pytest.raises(ZeroDivisionError), engine.begin() as connection:
        audited(connection, 1 / (0 * len(audited(connection, 1.0, "anna", "aborted", "flights"))), "anna", "a", "b")
    assert verify_audit(engine).entries == 2


def test_an_empty_log_is_intact(engine: Engine) -> None:
    assert verify_audit(engine) == type(verify_audit(engine))(0, BEGINNING)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A SQLite database with twenty entries, closed."""
    path = tmp_path / "metadata.db"
    made = open_engine(URL.create("sqlite", database=str(path)))
    filled(made)
    made.dispose()
    return path


def verified(path: Path, head: str = "", entries: int = 0) -> str:
    """What the check says of a file; a file that cannot be opened at all is found too."""
    engine = open_engine(URL.create("sqlite", database=str(path)))
    try:
        return verify_audit(engine, head, entries).fault
    except (SQLAlchemyError, StoreError, ValueError) as wrong:
        return str(wrong)
    finally:
        engine.dispose()


def test_every_byte_of_an_entry_that_is_flipped_is_found(file: Path) -> None:
    whole = file.read_bytes()
    places = [k for k in range(len(whole) - 8) if whole[k : k + 8] in (b"promoted", b"person 1", b'{"a":[1.')]
    rng = random.Random(0)
    assert len(places) >= 40
    for place in rng.sample(places, 25):
        spoilt = bytearray(whole)
        spoilt[place + rng.randrange(8)] ^= 1 << rng.randrange(7)
        file.write_bytes(spoilt)
        assert verified(file), f"the byte at {place} was flipped and nobody noticed"


def test_entries_taken_out_of_the_middle_or_off_the_end_are_found(file: Path) -> None:
    for where, said in {"seq = 7": "chained to", "seq > 18": "the last 2 entries are gone: 18 are left of 20"}.items():
        whole = file.read_bytes()
        connection = sqlite3.connect(file)
        connection.execute("DROP TRIGGER audit_no_delete")
        connection.execute(f"DELETE FROM audit WHERE {where}")
        connection.commit()
        connection.close()
        assert said in verified(file)
        for beside in file.parent.glob("metadata.db-*"):
            beside.unlink()
        file.write_bytes(whole)


def test_a_chain_that_was_written_anew_is_found_by_the_head_that_was_noted(file: Path, tmp_path: Path) -> None:
    other = open_engine(URL.create("sqlite", database=str(tmp_path / "other.db")))
    with other.begin() as connection:
        for k in range(21):
            audited(connection, float(k), "forger", "promoted", "flights")
    other.dispose()
    engine = open_engine(URL.create("sqlite", database=str(file)))
    noted = verify_audit(engine)
    engine.dispose()
    assert not verified(file, noted.head, noted.entries)
    assert "has not the hash" in verified(tmp_path / "other.db", noted.head, noted.entries)
    assert "no entry has the hash" in verified(tmp_path / "other.db", noted.head)


def test_an_export_verifies_without_its_database(file: Path) -> None:
    engine = open_engine(URL.create("sqlite", database=str(file)))
    lines = [msgspec.json.encode(entry) for entry in read_audit(engine)]
    engine.dispose()
    assert verify_export(lines).entries == 20
    assert "line 4" in verify_export([*lines[:3], lines[3].replace(b"person", b"perso!"), *lines[4:]]).fault
    assert "line 3" in verify_export([*lines[:2], *lines[3:]]).fault
    assert "line 2 is no entry" in verify_export([lines[0], b"{"]).fault
