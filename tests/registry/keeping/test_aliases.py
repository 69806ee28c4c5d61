"""What every alias meant at a time is answered, and a change of the past is refused."""

from __future__ import annotations

import pytest

from roadworthy.core.errors import SpecError


def test_all_aliases_at_a_time_are_told_with_who_moved_them_and_why(registry, made):
    old, new = made().digest, made(made_at=2.0).digest
    registry.point("clinic", "stable", old, 10.0, "anna", "first")
    registry.point("clinic", "reserve", old, 15.0, "ben", "in case")
    registry.point("clinic", "stable", new, 20.0, "rollout", "every gate passed")
    registry.point("clinic", "reserve", None, 30.0, "ben", "not needed")
    registry.point("other", "stable", new, 12.0, "cleo", "")
    told = registry.at("clinic", 25.0)
    assert {name: (change.digest, change.by, change.at) for name, change in told.aliases.items()} == {
        "stable": (new, "rollout", 20.0),
        "reserve": (old, "ben", 15.0),
    }
    assert {at: sorted(registry.at("clinic", at).aliases) for at in (9.0, 12.0, 15.0, 30.0)} == {
        9.0: [],
        12.0: ["stable"],
        15.0: ["reserve", "stable"],
        30.0: ["stable"],
    }
    assert registry.at("nobody", 25.0).aliases == {}


def test_of_two_changes_at_one_time_the_later_written_one_holds(registry, made):
    old, new = made().digest, made(made_at=2.0).digest
    for digest in (old, new, old, new):
        registry.point("clinic", "stable", digest, 10.0, "anna", "")
    assert registry.alias("clinic", "stable", 10.0) == new
    assert registry.at("clinic", 11.0).aliases["stable"].digest == new


def test_a_change_is_audited_with_what_was_there_before(registry, made, deeds, state):
    first, second = made().digest, made(made_at=2.0).digest
    registry.point("clinic", "stable", first, 10.0, "anna", "first")
    registry.point("clinic", "stable", second, 20.0, "ben", "better")
    assert deeds()[-2:] == [("anna", "alias moved", "clinic/stable"), ("ben", "alias moved", "clinic/stable")]
    with state.engine.connect() as connection:
        data = connection.exec_driver_sql("SELECT data FROM audit ORDER BY seq DESC LIMIT 1").scalar()
    assert f'"from":"{first}"' in data
    assert f'"to":"{second}"' in data


def test_what_is_refused_leaves_neither_a_change_nor_an_entry(registry, made, deeds):
    first = made().digest
    before = deeds()
    with pytest.raises(SpecError, match="Unix seconds"):
        registry.point("clinic", "stable", first, float("inf"), "anna", "")
    assert (registry.history("clinic"), deeds()) == ([], before)


def test_a_move_within_a_transaction_that_fails_did_not_happen(registry, made, state, deeds):
    first, before = made().digest, deeds()
    with state.engine.connect() as connection:
        registry.moved(connection, "clinic", "stable", first, 10.0, "rollout", "passed")
        connection.rollback()
    assert (registry.alias("clinic", "stable"), deeds()) == (None, before)
