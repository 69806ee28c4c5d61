"""The address of the metadata is a URL, with secrets left to the environment."""

from __future__ import annotations

import pytest

from roadworthy.core.errors import MissingExtra, SpecError
from roadworthy.store.addresses import address
from roadworthy.store.state import State

HOME = "postgresql+psycopg://me:${PASSWORD}@host/metadata"


def test_a_password_of_the_environment_is_quoted():
    found = address(HOME, {"PASSWORD": "p@ss/w:ord"})
    assert (found.password, found.host, found.database) == ("p@ss/w:ord", "host", "metadata")


def test_a_variable_may_be_the_whole_url():
    written = "postgresql+psycopg://me@host:5433/metadata"
    assert address("${METADATA}", {"METADATA": written}).render_as_string() == written


@pytest.mark.parametrize("environment", [{}, {"PASSWORD": ""}, {"PASWORD": "x"}])
def test_a_variable_that_is_not_set_is_named(environment):
    with pytest.raises(SpecError, match=r"the environment variable 'PASSWORD' is not set.*; set it, or"):
        address(HOME, environment)


@pytest.mark.parametrize("written", ["not a url", "mysql://host/x", "redis://host"])
def test_another_database_is_refused(written):
    with pytest.raises(SpecError, match=r"`store\.metadata` .*write 'postgresql\+psycopg://"):
        address(written, {})


def test_a_password_that_makes_no_url_is_not_repeated():
    with pytest.raises(SpecError) as refusal:
        address("${METADATA}", {"METADATA": "no url but secret"})
    assert "secret" not in str(refusal.value)


def test_a_state_keeps_its_metadata_where_the_url_says(tmp_path):
    with State.open(tmp_path / "state", "process", metadata=f"sqlite:///{tmp_path}/elsewhere.db") as state:
        assert state.engine.url.database == f"{tmp_path}/elsewhere.db"
    assert (tmp_path / "elsewhere.db").exists()
    assert not (tmp_path / "state" / "metadata.db").exists()


def test_a_driver_that_is_not_installed_is_named_with_its_extra(tmp_path):
    with pytest.raises(MissingExtra, match=r"metadata on postgresql needs `asyncpg`: pip install 'roadworthy\[post"):
        State.open(tmp_path, "process", metadata="postgresql+asyncpg://host/database")
