"""An outcome passes where nobody says otherwise."""

from __future__ import annotations

from roadworthy.cli.outcome import Outcome


def test_an_outcome_without_a_code_is_a_pass():
    assert Outcome({"a": 1}, "shown").exit_code == 0
