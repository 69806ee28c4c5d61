from __future__ import annotations

import sys

import numpy as np
import pytest

from roadworthy.core.errors import MissingExtra
from roadworthy.observe.base import stream
from roadworthy.observe.streams.adwin import Adwin


def step(before, after, seed=0):
    rng = np.random.default_rng(seed)
    return [float(hit) for rate in (before, after) for hit in rng.random(3000) < rate]


def alarms(made, values):
    listener = made.begin()
    return [at for at, value in enumerate(values) if listener.add(value)]


def test_a_rise_is_found_and_a_fall_only_where_asked_for():
    pytest.importorskip("river")
    assert 3000 <= alarms(Adwin(), step(0.1, 0.4))[0] < 3300
    assert not alarms(Adwin(), step(0.4, 0.1))
    assert 3000 <= alarms(Adwin(side="both"), step(0.4, 0.1))[0] < 3300


def test_it_agrees_with_river_value_by_value():
    river = pytest.importorskip("river.drift")
    theirs, ours, values = river.ADWIN(delta=0.002), Adwin(side="both").begin(), step(0.2, 0.35)
    for value in values:
        theirs.update(value)
        assert ours.add(value) == theirs.drift_detected


def test_without_river_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "river.drift", None)
    with pytest.raises(MissingExtra, match=r"roadworthy\[drift\]"):
        Adwin().begin()


def test_settings_are_read_from_a_plan_and_impossible_ones_refused():
    pytest.importorskip("river")
    assert stream.make("adwin:alpha=0.01,side=both") == Adwin(alpha=0.01, side="both")
    for wrong in ({"alpha": 1.0}, {"clock": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Adwin(**wrong)
    with pytest.raises(ValueError, match="leave out what is not known"):
        Adwin().begin().add(float("nan"))
