"""`roadworthy list` names what can be named in a project file."""

from __future__ import annotations

import pytest


def test_every_kind_is_listed_with_what_each_leaf_does(call):
    told = call("list", "--json")
    assert told.code == 0
    assert {"psi", "calibration"} <= set(told.body["detector"])
    assert {"errors", "latency", "quality"} <= set(told.body["gate"])
    assert all(line for leaves in told.body.values() for line in leaves.values())


@pytest.mark.parametrize("kind", ["gate", "gates"])
def test_one_kind_may_be_asked_for_in_the_plural_too(call, kind):
    assert list(call("list", kind, "--json").body) == ["gate"]


def test_a_person_sees_a_table(call):
    told = call("list", "gate")
    assert (told.code, "latency" in told.out, "psi" in told.out) == (0, True, False)


def test_a_wrong_kind_gets_the_nearest_one(call):
    told = call("list", "detectr")
    assert (told.code, "did you mean 'detector'?" in told.err) == (2, True)
