"""What a project's `train` function takes and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample


class Trained(Struct, frozen=True):
    """A model that was trained: its file, the plan of the engine that runs it, and what was measured on the way.

    `wrappers` are plans, such as a calibration that was fitted; None leaves the project file's. `training` are the
    settings that were used (`trials`: how many were tried), `features` the versions of the sets of features.
    """

    file: Path
    engine: str = ""
    wrappers: tuple[Any, ...] | None = None
    note: str = ""
    measured: tuple[Measurement, ...] = ()
    training: Mapping[str, Any] = {}
    features: Mapping[str, str] = {}


class Train(Protocol):
    """Trains on every row of a labelled sample (in the order of `at`) and writes the model into `folder`.

    The same sample and seed give the same answers. A mapping with the fields of Trained will do as well.
    """

    def __call__(self, sample: Sample, folder: Path, seed: int) -> Trained | Mapping[str, Any]: ...
