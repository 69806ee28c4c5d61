"""What a command opens: a project that is right, and a state directory that is there or is made."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from roadworthy.cli.opening import existing_state, open_spec, open_state, project_option
from roadworthy.core.errors import Missing, SpecError


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    project_option(parser)
    return parser.parse_args(words)


def test_the_project_is_here_where_nobody_says_otherwise():
    assert options().project == Path()


def test_a_project_is_read_from_its_folder(clinic):
    assert open_spec(options("--project", str(clinic))).application.name == "clinic"


def test_leaves_are_looked_up_while_the_file_is_read(clinic, rewrite):
    rewrite("detectors: [psi,", "detectors: [psy,")
    with pytest.raises(SpecError, match="did you mean 'psi'"):
        open_spec(options("--project", str(clinic)))


def test_files_that_are_not_there_are_let_through_only_on_request(clinic):
    (clinic / "data" / "lab.parquet").unlink()
    given = options("--project", str(clinic))
    assert open_spec(given, check_files=False).data.lab == "data/lab.parquet"
    with pytest.raises(SpecError, match=r"roadworthy\.yaml:\d+: .*lab\.parquet"):
        open_spec(given)


def test_a_state_directory_is_made_at_its_first_use(spec):
    with pytest.raises(Missing, match="begin with `roadworthy release`"):
        existing_state(spec)
    open_state(spec).close()
    existing_state(spec).close()
    assert (spec.state / "records.db").is_file()


def test_metadata_lies_where_the_project_file_says(call, clinic, rewrite, new_url, monkeypatch):
    monkeypatch.setenv("CLINIC_METADATA", new_url().render_as_string(hide_password=False))
    rewrite("cost: {", "store: {metadata: '${CLINIC_METADATA}'}\ncost: {")
    digest = call("release", "--project", clinic, "--json").body["digest"]
    assert not (clinic / ".roadworthy" / "metadata.db").exists()
    assert call("releases", "--project", clinic, "--json").body["releases"][0]["digest"] == digest
    assert call("audit", "verify", "--project", clinic).code == 0
    monkeypatch.delenv("CLINIC_METADATA")
    assert "CLINIC_METADATA" in call("releases", "--project", clinic).err
