"""The revision of a folder is that of its commit, and nothing that can go wrong stops a release."""

from __future__ import annotations

import os
import subprocess

import pytest

from roadworthy.registry.keeping.revision import revision


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "train.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_it_is_the_commit_and_whether_files_changed_since(repository):
    sha, project = git(repository, "rev-parse", "HEAD").strip(), repository / "project"
    assert revision(project) == f"git:{sha}"
    (repository / "elsewhere.py").write_text("")
    (project / ".roadworthy").mkdir()
    (project / ".roadworthy" / "metadata.db").write_text("ours")
    assert revision(project) == f"git:{sha}"
    (project / "train.py").write_text("x = 2\n")
    assert revision(project) == f"git:{sha}+changes"
    git(repository, "checkout", "-q", "project")
    (project / "new.py").write_text("")
    assert revision(project) == f"git:{sha}+changes"


def test_outside_git_and_before_the_first_commit_it_is_not_known(tmp_path):
    assert revision(tmp_path) == ""
    git(tmp_path, "init", "-q")
    assert revision(tmp_path) == ""
    assert revision(tmp_path / "gone") == ""


def test_without_git_it_is_not_known(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    assert revision(repository) == ""


def test_a_repository_cannot_make_it_run_a_program(repository):
    script = repository / "run.sh"
    script.write_text(f"#!/bin/sh\ntouch {repository / 'ran'}\n")
    script.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(script))
    revision(repository)
    assert not (repository / "ran").exists()


def test_a_variable_of_git_does_not_point_it_elsewhere(repository, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    assert revision(tmp_path_factory.mktemp("outside")) == ""
    assert "GIT_DIR" in os.environ
