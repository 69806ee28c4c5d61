"""A commit by anybody else is seen, and only that."""

from __future__ import annotations

from sqlalchemy import create_mock_engine

from roadworthy.app.changes import Changes
from roadworthy.store.events import write_event


def test_a_commit_by_another_connection_is_seen_once(state):
    changes = Changes(state.engine)
    assert [changes.seen(), changes.seen()] == [True, False]
    write_event(state.engine, 1.0, "deploy", "toy")
    assert [changes.seen(), changes.seen()] == [True, False]
    changes.forget()
    assert changes.seen()
    changes.close()


def test_a_database_that_cannot_tell_is_looked_at_each_time():
    changes = Changes(create_mock_engine("postgresql+psycopg://", lambda *_: None))
    assert [changes.seen(), changes.seen()] == [True, True]
    changes.close()
