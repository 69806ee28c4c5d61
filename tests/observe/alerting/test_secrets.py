from __future__ import annotations

import pytest

from roadworthy.core.errors import Denied, SpecError
from roadworthy.observe.alerting.secrets import check_secret, revealed


def test_a_secret_is_what_the_environment_holds(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "abc")
    assert revealed("env:SOME_KEY") == "abc"
    assert revealed("plain") == "plain"


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_named(monkeypatch, value):
    monkeypatch.delenv("SOME_KEY", raising=False) if value is None else monkeypatch.setenv("SOME_KEY", value)
    with pytest.raises(Denied, match="the environment has no 'SOME_KEY'"):
        revealed("env:SOME_KEY")


def test_a_secret_that_is_written_out_is_refused():
    check_secret("key", "")
    check_secret("key", "env:X")
    with pytest.raises(SpecError, match="write `key: env:NAME`"):
        check_secret("key", "hunter2")
