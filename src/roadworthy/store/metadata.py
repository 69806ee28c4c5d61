"""The metadata database: releases, aliases, rollouts, events. SQLite in the state directory, or PostgreSQL.

A new database is made at once by `create_all`; an older one is brought up to date by Alembic (extra `store`).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from roadworthy.core.errors import MissingExtra
from roadworthy.store.files import BUSY_SECONDS, StoreError, sentence

HEAD = "0004"
VERSION_TABLE = "roadworthy_version"
MIGRATIONS = Path(__file__).with_name("migrations")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s",
    }
)


def _seq() -> Column[int]:
    return Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


releases = Table(
    "releases",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("made_at", Double, nullable=False),
    Column("manifest", Text, nullable=False),
    Index("ix_releases", "made_at"),
)

aliases = Table(
    "aliases",
    metadata,
    _seq(),
    Column("deployment", Text, nullable=False),
    Column("alias", Text, nullable=False),
    Column("digest", String(64), ForeignKey("releases.digest")),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False, quote=True),
    Column("why", Text, nullable=False),
    Index("ix_aliases", "deployment", "alias", "seq"),
    Index("ix_aliases_at", "deployment", "alias", "at", "seq"),
    sqlite_autoincrement=True,
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("deployment", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index("ix_rollouts", "deployment", "status"),
)

events = Table(
    "events",
    metadata,
    _seq(),
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("data", Text, nullable=False),
    Index("ix_events", "kind", "subject", "at"),
    sqlite_autoincrement=True,
)

# What a release was made on: the profile of those rows, and a sample of them.
profiles = Table(
    "profiles",
    metadata,
    Column("release", String(64), primary_key=True),
    Column("at", Double, nullable=False),
    Column("profile", LargeBinary, nullable=False),
    Column("sample", LargeBinary, nullable=False),
)

# What was counted in a minute of records, by release, arm and one tag ("" and "": all of them).
rollups = Table(
    "rollups",
    metadata,
    Column("minute", BigInteger, nullable=False, autoincrement=False),
    Column("release", String(64), nullable=False),
    Column("arm", String(16), nullable=False),
    Column("tag", String(128), nullable=False),
    Column("value", String(256), nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("minute", "release", "arm", "tag", "value", name="pk_rollups"),
)

# How far each reader of the record log has come.
bookmarks = Table(
    "bookmarks",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
)

silences = Table(
    "silences",
    metadata,
    _seq(),
    Column("matcher", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("by", Text, nullable=False, quote=True),
    Column("why", Text, nullable=False),
    sqlite_autoincrement=True,
)

# Predictions drawn by chance for a person to label; `chance` is the probability with which each was drawn.
audits = Table(
    "audits",
    metadata,
    Column("id", String(512), primary_key=True),
    Column("release", String(64), nullable=False),
    Column("at", Double, nullable=False),
    Column("chance", Double, nullable=False),
    Index("ix_audits", "at"),
)

explanations = Table(
    "explanations",
    metadata,
    Column("id", String(512), nullable=False),
    Column("release", String(64), nullable=False),
    Column("at", Double, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id", "release", name="pk_explanations"),
    Index("ix_explanations", "at"),
)

# Stretches of records that no retention may remove until the hold is lifted.
holds = Table(
    "holds",
    metadata,
    _seq(),
    Column("since", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False, quote=True),
    Column("why", Text, nullable=False),
    Column("lifted_at", Double),
    sqlite_autoincrement=True,
)

# What the machine was like, every few seconds: processor, memory, queues.
host_samples = Table(
    "host_samples",
    metadata,
    Column("at", Double, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

# Who did what, each entry holding the hash of the one before (`store.audit_log`).
audit = Table(
    "audit",
    metadata,
    _seq(),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False, quote=True),
    Column("action", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    sqlite_autoincrement=True,
)

signatures = Table(
    "signatures",
    metadata,
    Column("digest", String(64), ForeignKey("releases.digest"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False, quote=True),
    PrimaryKeyConstraint("digest", "key", name="pk_signatures"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("digest", String(64), ForeignKey("releases.digest"), nullable=False),
    Column("by", Text, nullable=False, quote=True),
    Column("at", Double, nullable=False),
    Column("why", Text, nullable=False),
    PrimaryKeyConstraint("digest", "by", name="pk_approvals"),
)

# Releases that no collection of garbage may remove until the hold is lifted.
release_holds = Table(
    "release_holds",
    metadata,
    _seq(),
    Column("digest", String(64), ForeignKey("releases.digest"), nullable=False),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False, quote=True),
    Column("why", Text, nullable=False),
    Column("lifted_at", Double),
    sqlite_autoincrement=True,
)

# Who may act alone (one controller a deployment), until when; `turn` grows with every change of hands.
leases = Table(
    "leases",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", Double, nullable=False),
    Column("turn", BigInteger, nullable=False),
)

# What each spender spent of a budget that several processes share, minute by minute of Unix time.
spending = Table(
    "spending",
    metadata,
    Column("deployment", Text, nullable=False),
    Column("budget", String(64), nullable=False),
    Column("minute", BigInteger, nullable=False, autoincrement=False),
    Column("spender", String(64), nullable=False),
    Column("usd", Double, nullable=False),
    PrimaryKeyConstraint("deployment", "budget", "minute", "spender", name="pk_spending"),
)

version = Table(
    VERSION_TABLE,
    metadata,
    Column("version_num", String(32), nullable=False),
    # The name that Alembic gives it: a database stamped here and one migrated by Alembic are the same.
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)

# History is only ever added to, whoever holds the connection.
APPEND_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN"
        f" SELECT RAISE(ABORT, '`{table}` is append-only: write a new row instead'); END"
        for table in ("aliases", "events", "audit")
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE FUNCTION roadworthy_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION USING MESSAGE = '`' || TG_TABLE_NAME || '` is append-only: write a new row instead'; END $$",
        *(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION roadworthy_append_only()"
            for table in ("aliases", "events", "audit")
        ),
    ],
}


def open_engine(url: str | URL) -> Engine:
    """An engine on an up-to-date database, made where there is none. Raises StoreError, naming the database.

    On SQLite `engine.begin()` takes the write lock at once, so that a read followed by a write cannot be overtaken;
    a reader that should not wait for writers uses `engine.execution_options(reading=True)`.
    """
    url = make_url(url)
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        _listen(engine, Path(url.database or ":memory:"))
    try:
        with engine.begin() as connection:
            _bring_up_to_date(connection)
    except BaseException as error:
        engine.dispose()
        if isinstance(error, DBAPIError):
            raise StoreError(f"metadata in `{url.render_as_string()}`: {error.orig}") from error
        raise
    return engine


def _listen(engine: Engine, path: Path) -> None:
    """Let SQLAlchemy begin transactions where it says so, and name the file in every error of the disk."""

    @event.listens_for(engine, "connect")
    def tune(connection: sqlite3.Connection, _: Any) -> None:
        # The driver's own idea of transactions would commit before each CREATE.
        connection.isolation_level = None
        for pragma in (f"busy_timeout={BUSY_SECONDS * 1000:.0f}", "journal_mode=WAL", "foreign_keys=ON"):
            try:
                connection.execute(f"PRAGMA {pragma}")
            except sqlite3.Error as error:
                raise StoreError(sentence(path, error)) from error

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    @event.listens_for(engine, "handle_error")
    def name(context: ExceptionContext) -> None:
        cause = context.original_exception
        # A broken constraint is the caller's affair and stays what it is.
        if isinstance(cause, sqlite3.OperationalError) or type(cause) is sqlite3.DatabaseError:
            raise StoreError(sentence(path, cause)) from cause


def _bring_up_to_date(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Two processes that start on one new database: the second waits, then finds it made.
        connection.execute(text("SELECT pg_advisory_xact_lock(7240718)"))
    if not inspect(connection).has_table(VERSION_TABLE):
        _create(connection)
        return
    found = connection.execute(select(version.c.version_num)).scalar()
    if found != HEAD:
        migrate(connection)


def _create(connection: Connection) -> None:
    metadata.create_all(connection)
    for statement in APPEND_ONLY.get(connection.dialect.name, []):
        connection.exec_driver_sql(statement)
    connection.execute(insert(version).values(version_num=HEAD))


def migrate(connection: Connection) -> None:
    """Run the Alembic migrations that this database lacks. Raises StoreError when it is newer than this package."""
    try:
        from alembic import command, util
        from alembic.config import Config
    except ImportError as gone:
        raise MissingExtra("an older metadata database", "alembic", "store") from gone
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except util.CommandError as wrong:
        where = connection.engine.url.render_as_string()
        raise StoreError(f"metadata in `{where}`: {wrong}; a newer Roadworthy made it: upgrade roadworthy") from wrong
