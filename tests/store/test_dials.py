"""Dials come back as they were put: the newest of each, and the whole history in order."""

from __future__ import annotations

import pytest

from roadworthy.core.dials import Dial
from roadworthy.store.dials import dial_history, newest_dials, put_dial
from roadworthy.store.events import read_events


def alpha(at: float, value: float, name: str = "adaptive") -> Dial:
    return Dial(name, at, {"alpha": value, "recent": (0.1, 0.25)}, int(at), "a label came", position=int(at) + 7)


def test_the_newest_of_each_dial_of_a_release_is_found(engine):
    for dial in (alpha(1.0, 0.1), alpha(2.0, 0.12), alpha(1.5, 0.3, "temperature")):
        put_dial(engine, "flights", "abc", dial)
    put_dial(engine, "flights", "other", alpha(9.0, 0.5))
    put_dial(engine, "flights_", "abc", alpha(9.0, 0.5))
    assert newest_dials(engine, "flights", "abc") == {
        "adaptive": alpha(2.0, 0.12),
        "temperature": alpha(1.5, 0.3, "temperature"),
    }


def test_what_was_put_last_is_in_force_whatever_its_clock_said(engine):
    put_dial(engine, "flights", "abc", alpha(5.0, 0.1))
    put_dial(engine, "flights", "abc", alpha(4.0, 0.2))
    assert newest_dials(engine, "flights", "abc")["adaptive"] == alpha(4.0, 0.2)


def test_a_release_without_dials_has_none(engine):
    put_dial(engine, "flights", "abc", alpha(1.0, 0.1))
    assert newest_dials(engine, "flights", "ab") == {}


@pytest.mark.parametrize(
    ("since", "until", "found"), [(None, None, [1, 2, 3]), (2.0, None, [2, 3]), (None, 3.0, [1, 2])]
)
def test_the_history_comes_in_order(engine, since, until, found):
    for at in (1.0, 2.0, 3.0):
        put_dial(engine, "flights", "abc", alpha(at, 0.1 * at))
    history = dial_history(engine, "flights", "abc", "adaptive", since, until)
    assert history == [alpha(float(at), 0.1 * at) for at in found]


def test_the_history_of_the_deployment_itself_carries_no_dials(engine):
    put_dial(engine, "flights", "abc", alpha(1.0, 0.1))
    assert read_events(engine, subject="flights") == []
