"""A reader of the log finds again how far it came, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from roadworthy.store.bookmarks import Bookmark, move_bookmark, read_bookmark
from roadworthy.store.metadata import open_engine


@pytest.fixture
def engine(new_url):
    made = open_engine(new_url())
    yield made
    made.dispose()


def test_a_reader_that_never_was_here_has_none(engine):
    assert read_bookmark(engine, "ship") is None


def test_each_reader_has_a_place_of_its_own_and_the_last_one_counts(engine):
    with engine.begin() as connection:
        move_bookmark(connection, "ship", 5, 1.0)
        move_bookmark(connection, "explain", 7, 2.0)
        move_bookmark(connection, "ship", 9, 3.0)
    assert read_bookmark(engine, "ship") == Bookmark(9, 3.0)
    assert read_bookmark(engine, "explain") == Bookmark(7, 2.0)


def test_what_fails_with_its_work_does_not_move(engine):
    with engine.connect() as connection:
        work = connection.begin()
        move_bookmark(connection, "ship", 5, 1.0)
        work.rollback()
    assert read_bookmark(engine, "ship") is None
