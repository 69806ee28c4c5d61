from __future__ import annotations

import pytest
from msgspec.structs import replace

from roadworthy.core.errors import Missing, SpecError
from roadworthy.observe.alerting.silences import lift, matches, silence, silenced_by, silences
from roadworthy.store.state import State
from roadworthy.testing.sinks import alert

NOW = 1_700_000_000.0


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / "state", "process") as found:
        yield found


@pytest.mark.parametrize(
    ("matcher", "fits"),
    [
        ("deployment=flights", True),
        ("rule=slo-*", True),
        ("detector=slo-availability,severity=page", True),
        ("tenant=acme", True),
        ("rule=slo-*,tenant=bolt", False),
        ("segment=*", False),
        ("severity=ticket", False),
        ("rule=SLO-*", False),
    ],
)
def test_every_part_of_a_matcher_must_fit(matcher, fits):
    assert matches(matcher, alert()) == fits


def test_a_silence_holds_until_its_end(state):
    made = silence(state, "rule=slo-*", NOW, NOW + 60, "mira", "we are moving the data centre")
    assert silences(state, NOW) == silences(state) == [made]
    assert silenced_by(alert(), silences(state, NOW + 59)) == made.seq
    assert silences(state, NOW + 60) == silences(state, NOW - 1) == []
    assert silenced_by(alert(), []) == 0
    assert silenced_by(replace(alert(), detector="psi"), [made]) == 0


def test_a_silence_can_be_lifted(state):
    made = silence(state, "rule=*", NOW, NOW + 3600, "mira", "a drill")
    lift(state, made.seq, NOW + 10)
    assert silences(state, NOW + 11) == []
    assert silences(state)[0].until == NOW + 10
    with pytest.raises(Missing, match="no silence 1 holds now"):
        lift(state, made.seq, NOW + 20)


@pytest.mark.parametrize("matcher", ["", "flights", "rule=", "=x", "rule=a,,"])
def test_a_matcher_that_is_none_is_refused(state, matcher):
    with pytest.raises(SpecError, match="a matcher is `name=pattern`"):
        silence(state, matcher, NOW, NOW + 60, "mira", "why not")


@pytest.mark.parametrize(("until", "by", "why"), [(NOW, "mira", "x"), (NOW + 9, " ", "x"), (NOW + 9, "mira", "")])
def test_nobody_is_silent_for_no_reason(state, until, by, why):
    with pytest.raises(SpecError):
        silence(state, "rule=*", NOW, until, by, why)
