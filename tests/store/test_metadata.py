"""The metadata is the same on SQLite and PostgreSQL, made at once or migrated, and its history is append-only."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import threading

import pytest
from sqlalchemy import URL, create_engine, delete, func, insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from roadworthy.store.events import write_event
from roadworthy.store.files import StoreError
from roadworthy.store.metadata import (
    HEAD,
    MIGRATIONS,
    aliases,
    events,
    migrate,
    open_engine,
    releases,
    rollouts,
    version,
)

RELEASE = {"digest": "d" * 64, "name": "clinic", "made_at": 1.0, "manifest": "{}"}
CHANGE = {"deployment": "clinic", "alias": "stable", "digest": None, "at": 1.0, "by": "me", "why": "first"}


def schema(connection):
    """Everything that a database knows about its tables, in a form that two databases can be compared in."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT type, name, sql FROM sqlite_master"))
        return {(kind, name): re.sub(r"\s+", " ", sql or "").replace(" ,", ",") for kind, name, sql in rows}
    look = inspect(connection)
    columns = {
        table: (
            [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in look.get_columns(table)],
            look.get_pk_constraint(table),
            look.get_foreign_keys(table),
            look.get_indexes(table),
        )
        for table in sorted(look.get_table_names())
    }
    triggers = connection.execute(
        text("SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1")
    )
    functions = connection.execute(
        text("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname LIKE 'roadworthy%' ORDER BY 1")
    )
    return columns, triggers.scalars().all(), functions.scalars().all()


def test_migrating_from_empty_gives_exactly_what_create_all_gives(new_url):
    migrated = create_engine(new_url())
    with migrated.begin() as connection:
        migrate(connection)
        by_alembic = schema(connection)
        assert connection.execute(select(version.c.version_num)).scalar_one() == HEAD
    migrated.dispose()
    made = open_engine(new_url())
    with made.connect() as connection:
        at_once = schema(connection)
    made.dispose()
    assert by_alembic == at_once
    assert len(at_once) >= 3


def test_the_head_that_a_new_database_is_stamped_with_is_alembics():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_alembic_finds_nothing_left_to_change(url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from roadworthy.store.metadata import VERSION_TABLE, metadata

    engine = open_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        found = [change for change in compare_metadata(context, metadata) if VERSION_TABLE not in str(change)]
    engine.dispose()
    assert found == []


def test_a_database_of_an_older_version_is_migrated_when_it_is_opened(url):
    older = create_engine(url)
    version.create(older)
    older.dispose()
    engine = open_engine(url)
    with engine.connect() as connection:
        assert connection.execute(select(version.c.version_num)).scalar_one() == HEAD
        assert connection.execute(select(func.count()).select_from(releases)).scalar_one() == 0
    engine.dispose()


def test_a_database_of_a_newer_version_asks_for_an_upgrade(url):
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(update(version).values(version_num="9999"))
    engine.dispose()
    with pytest.raises(StoreError, match="'9999'; a newer Roadworthy made it: upgrade roadworthy"):
        open_engine(url)


def test_a_first_start_needs_no_alembic(tmp_path):
    code = (
        "import sys; from roadworthy.store.metadata import open_engine\n"
        f"open_engine('sqlite:///{tmp_path / 'metadata.db'}').dispose(); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("table", [aliases, events], ids=["aliases", "events"])
@pytest.mark.parametrize("change", [delete, lambda table: update(table).values(at=9.0)], ids=["delete", "update"])
def test_history_cannot_be_changed(engine, table, change):
    with engine.begin() as connection:
        connection.execute(insert(releases).values(RELEASE))
        connection.execute(insert(aliases).values(CHANGE))
    write_event(engine, 1.0, "deploy", "clinic")
    with (
        pytest.raises(DBAPIError, match=f"`{table.name}` is append-only: write a new row instead"),
        engine.begin() as tx,
    ):
        tx.execute(change(table))
    with engine.connect() as connection:
        assert connection.execute(select(table.c.at)).scalars().all() == [1.0]


def test_an_alias_cannot_mean_a_release_that_is_not_there(engine):
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(aliases).values({**CHANGE, "digest": "e" * 64}))


def test_a_rollout_is_kept_and_brought_up_to_date(engine):
    row = {"id": "r1", "deployment": "clinic", "status": "running", "state": "{}", "updated_at": 1.0}
    with engine.begin() as connection:
        connection.execute(insert(rollouts).values(row))
        connection.execute(update(rollouts).where(rollouts.c.id == "r1").values(status="promoted", updated_at=2.0))
    with engine.connect() as connection:
        assert connection.execute(select(rollouts.c.status, rollouts.c.updated_at)).all() == [("promoted", 2.0)]


def test_many_threads_write_without_losing_an_event(engine):
    def write(name):
        for k in range(10):
            write_event(engine, float(k), "deploy", name)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(events)).scalar_one() == 40


def test_a_reader_does_not_wait_for_a_writer(tmp_path):
    engine = open_engine(URL.create("sqlite", database=str(tmp_path / "metadata.db")))
    reader = engine.execution_options(reading=True)
    with engine.begin() as writing, reader.connect() as reading:
        writing.execute(insert(releases).values(RELEASE))
        assert reading.execute(select(func.count()).select_from(releases)).scalar_one() == 0
    engine.dispose()


def test_garbage_is_refused_by_name(tmp_path):
    path = tmp_path / "metadata.db"
    path.write_bytes(random.Random(0).randbytes(20_000))
    with pytest.raises(StoreError, match=r"`.*metadata.db`: .*SQLITE_NOTADB.*restore it from a backup"):
        open_engine(f"sqlite:///{path}")


def test_a_torn_file_is_refused_by_name(tmp_path):
    path = tmp_path / "metadata.db"
    open_engine(f"sqlite:///{path}").dispose()
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(StoreError, match=r"`.*metadata.db`: .*SQLITE_CORRUPT.*torn or overwritten"):
        open_engine(f"sqlite:///{path}")


def test_a_server_that_is_not_there_is_named_without_its_password():
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match=r"metadata in `postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/x`: .*refused"):
        open_engine("postgresql+psycopg://me:secret@127.0.0.1:1/x")
