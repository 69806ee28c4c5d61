"""A record log, and metadata on SQLite and on PostgreSQL, of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

from roadworthy.store.metadata import open_engine
from roadworthy.store.records import RecordLog


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RecordLog]:
    found = RecordLog(tmp_path / "records.db", "process")
    yield found
    found.close()


@pytest.fixture
def url(new_url: Callable[[], URL]) -> URL:
    return new_url()


@pytest.fixture
def engine(url: URL) -> Iterator[Engine]:
    found = open_engine(url)
    yield found
    found.dispose()
