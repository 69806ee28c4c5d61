"""The marker that a probe would leave, and the doors through which every hostile file is tried."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadworthy.core.errors import BadData, RoadworthyError
from roadworthy.serve.engines.mlflow import Mlflow
from roadworthy.serve.engines.onnx import Onnx
from roadworthy.serve.engines.sklearn import Sklearn
from roadworthy.serve.engines.torch import Torch
from roadworthy.serve.formats.base import LIMITS, Limits
from roadworthy.serve.safe_import import check, load

ENGINES = (Onnx, Sklearn, Torch, Mlflow)
ROWS = {"a": np.zeros((2, 1), np.float32)}
VARIABLE = "ROADWORTHY_PROBE"


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """A file, or a variable, that is there when a probe ran."""
    os.environ.pop(VARIABLE, None)
    yield tmp_path / "probe-ran"
    os.environ.pop(VARIABLE, None)


@pytest.fixture
def ran(marker: Path) -> Callable[[], bool]:
    """Whether a probe ran."""
    return lambda: marker.exists() or VARIABLE in os.environ


@pytest.fixture
def refused(ran: Callable[[], bool]) -> Callable[..., None]:
    """Try a file through every door: none runs it, and the doors of safe import say its name and why."""

    def tried(file: Path, because: str, limits: Limits = LIMITS) -> None:
        doors: list[Callable[[], Any]] = [lambda: check(file, limits=limits), lambda: load(file, limits=limits)]
        for door in doors:
            with pytest.raises(BadData) as told:
                door()
            assert not ran(), "the file was executed"
        for leaf in ENGINES:
            with pytest.raises(RoadworthyError):
                leaf(file, limits=limits)(ROWS)
            assert not ran(), f"{leaf.__name__} executed the file"
        said = str(told.value) if file.is_file() else _said(lambda: check(file, limits=limits))
        assert file.name in said
        assert re.search(because, said), said

    return tried


def _said(door: Callable[[], Any]) -> str:
    with pytest.raises(BadData) as told:
        door()
    return str(told.value)
