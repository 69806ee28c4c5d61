"""The project of a module's EXAMPLE: its file, the folder that its `prepare` filled, and what that said meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from roadworthy.core.catalog import load
from roadworthy.core.project import read_project
from roadworthy.core.spec import Spec


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, told: list[str]) -> Path:
    """The folder that `prepare` filled."""
    example: Path = request.module.EXAMPLE
    folder = tmp_path_factory.mktemp(example.name)
    load("prepare.py:prepare", example)(folder, told.append)
    return folder


@pytest.fixture(scope="module")
def spec(request: pytest.FixtureRequest) -> Spec:
    return read_project(request.module.EXAMPLE)
