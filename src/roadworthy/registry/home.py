"""What the registry needs of a state directory: a database, files by digest, and an audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Table


class File(Protocol):
    """A file that is kept: its digest, its size, and when it was last put there (Unix seconds)."""

    @property
    def digest(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def at(self) -> float: ...


class Files(Protocol):
    """Where artifacts lie, by the digest of their bytes (`store.Blobs`)."""

    def put(self, path: Path) -> str: ...
    def path(self, digest: str) -> Path: ...
    def check(self, digest: str) -> Path: ...
    def all(self) -> Iterator[File]: ...
    def remove(self, digest: str) -> None: ...
    def sweep(self, before: float) -> int: ...


class Home(Protocol):
    """A state directory (`store.State`)."""

    @property
    def engine(self) -> Engine: ...
    @property
    def tables(self) -> Mapping[str, Table]: ...
    @property
    def blobs(self) -> Files: ...

    def audited(
        self,
        connection: Connection,
        at: float,
        by: str,
        action: str,
        subject: str,
        data: Mapping[str, Any] | None = None,
    ) -> str: ...


@contextmanager
def writing(home: Home) -> Iterator[Connection]:
    """A transaction in which nobody else changes the registry: what it reads still holds when it writes."""
    with home.engine.begin() as connection:
        alone(connection)
        yield connection


def reading(home: Home) -> Connection:
    """A connection that waits for no writer."""
    return home.engine.execution_options(reading=True).connect()


def alone(connection: Connection) -> None:
    """Be the only writer until the transaction ends, as SQLite's `begin` is already.

    It is the lock that the audit log takes anyway: one lock for all writers, so that no two can wait for each other.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE")


def place(home: Home) -> str:
    """The file or the server that the metadata lies in, as an error names it."""
    url = home.engine.url
    return f"`{url.database}`" if url.get_backend_name() == "sqlite" else f"`{url.render_as_string()}`"
