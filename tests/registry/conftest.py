"""A registry on SQLite and on PostgreSQL, and releases to put into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.spec import Field, Signature
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

SIGNATURE = Signature({"radius": Field("number", unit="mm")}, {"probability": Field()})


@pytest.fixture
def state(both_states: State) -> State:
    """Every test of the registry runs on both databases."""
    return both_states


@pytest.fixture
def registry(state: State) -> Registry:
    return Registry(state)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def made(registry: Registry, model: Path) -> Callable[..., Release]:
    """Adds a release of the same model; every further field of a Release may be given."""

    def make(weights: bytes = b"weights", made_at: float = 1.0, **more: Any) -> Release:
        model.write_bytes(weights)
        fields = {"made_by": "anna", **more}
        release = Release("clinic", (Artifact("model", "", 0, engine="onnx"),), SIGNATURE, made_at=made_at, **fields)
        return registry.add(release, {"model": model})

    return make


@pytest.fixture
def deeds(state: State) -> Callable[[], list[tuple[str, str, str]]]:
    """Reads who did what to what from the audit log."""

    def read() -> list[tuple[str, str, str]]:
        audit = state.tables["audit"].c
        with state.engine.execution_options(reading=True).connect() as connection:
            rows = connection.execute(select(audit.by, audit.action, audit.subject).order_by(audit.seq))
            return [(row.by, row.action, row.subject) for row in rows]

    return read
