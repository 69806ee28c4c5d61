"""Events come back in the order in which they were written, chosen by kind, subject and time."""

from __future__ import annotations

import pytest

from roadworthy.core.measure import Verdict
from roadworthy.store.events import Event, read_events, write_event


def test_an_event_comes_back_with_its_data(engine):
    written = write_event(engine, 5.0, "rollout", "clinic", {"verdict": Verdict("fail", "too slow"), "share": 0.1})
    assert read_events(engine) == [written]
    assert written == Event(
        1, 5.0, "rollout", "clinic", {"verdict": {"decision": "fail", "because": "too slow"}, "share": 0.1}
    )


@pytest.mark.parametrize(
    ("chosen", "seqs"),
    [
        ({}, [1, 2, 3]),
        ({"kind": "alert"}, [1, 3]),
        ({"subject": "b"}, [2, 3]),
        ({"kind": "alert", "subject": "b"}, [3]),
        ({"since": 2.0}, [2, 3]),
        ({"until": 3.0}, [1, 2]),
        ({"kind": "nothing"}, []),
    ],
)
def test_events_are_chosen(engine, chosen, seqs):
    for at, kind, subject in [(1.0, "alert", "a"), (2.0, "deploy", "b"), (3.0, "alert", "b")]:
        write_event(engine, at, kind, subject)
    assert [event.seq for event in read_events(engine, **chosen)] == seqs


def test_data_that_json_cannot_hold_writes_nothing(engine):
    with pytest.raises(TypeError):
        write_event(engine, 1.0, "alert", "a", {"what": object()})
    assert read_events(engine) == []
