"""When to train again, and the candidate release that comes of it. It releases nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.catalog import load, read_plan
from roadworthy.core.errors import BadData, SpecError, unknown
from roadworthy.core.measure import Verdict
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Retrain, Spec
from roadworthy.learn.base import Train, Trained
from roadworthy.learn.training_rows import training_sample

__all__ = ["candidate", "due", "retrain", "train", "training_sample"]

DAY = 86_400.0


def due(last_trained_at: float | None, now: float, retrain: Retrain, alarms: Collection[str] = ()) -> Verdict:
    """`pass` is: train now; `wait`: not yet. `alarms` are the detectors that raised one since the last training.

    Times are Unix seconds. An alarm makes it earlier than the schedule, but never sooner than `at_least_days_apart`.
    """
    if last_trained_at is None:
        return Verdict("pass", "never trained before", "retrain")
    days = (now - last_trained_at) / DAY
    heard = sorted(set(alarms) & set(retrain.alarms))
    if days >= retrain.every_days:
        return Verdict("pass", f"{days:.1f} days since the last training, due every {retrain.every_days:g}", "retrain")
    if heard and days >= retrain.at_least_days_apart:
        return Verdict("pass", f"alarm of {', '.join(heard)}, {days:.1f} days after the last training", "retrain")
    if heard:
        apart = f"{days:.1f} of at least {retrain.at_least_days_apart:g} days since the last training"
        return Verdict("wait", f"alarm of {', '.join(heard)}, but {apart}", "retrain")
    return Verdict("wait", f"{days:.1f} of {retrain.every_days:g} days since the last training, no alarm", "retrain")


def train(spec: Spec, sample: Sample, folder: Path, seed: int) -> Trained:
    """Run the `train` of a project file (`model: train: file.py:function`). Raises SpecError where it names none."""
    if not spec.model.train:
        raise SpecError("the project file names no `model.train`: name a function, such as train.py:train")
    function: Train = load(spec.model.train, spec.root)
    if not callable(function):
        raise SpecError(f"`model.train: {spec.model.train}` is not a function, but {function!r}")
    return retrain(function, sample, folder, seed)


def retrain(function: Train, sample: Sample, folder: Path, seed: int) -> Trained:
    """Run a project's `train` and check what it gives back. Raises BadData or SpecError, saying what to change."""
    if sample.labels is None or not sample.n:
        raise BadData("no labelled rows to train on: no outcome was known yet, or nothing was recorded")
    unlabelled = int(np.isnan(sample.labels).sum())
    if unlabelled:
        raise BadData(f"{unlabelled} of {sample.n} rows have no label; take them from `training_sample`")
    folder.mkdir(parents=True, exist_ok=True)
    name = getattr(function, "__qualname__", repr(function))
    trained = _as_trained(function(sample, folder, seed), name)
    file = folder / trained.file
    if not file.is_file() or not file.stat().st_size:
        raise SpecError(f"`{name}` says that the model is in {str(file)!r}, where there is no file or an empty one")
    return msgspec.structs.replace(trained, file=file)


# Where and how a server listens decides no answer, and must not change the digest.
_OF_THE_PROCESS = frozenset({"host", "port", "control", "jobs", "webhooks", "tls_certificate", "tls_key"})


def candidate(
    trained: Trained,
    spec: Spec,
    data_digest: str,
    parent: str,
    made_at: float,
    made_by: str,
    seed: int = 0,
    code: str = "",
    versions: Mapping[str, str] | None = None,
) -> tuple[Release, Mapping[str, Path]]:
    """A release of the trained model, and its files by artifact name: what `Registry.add` takes.

    Its artifact has no digest yet: the registry fills that in. `parent` is the digest of the release it shall replace,
    `code` the revision of the project, `versions` those of the packages.
    """
    engine = trained.engine or written(spec.model.engine)
    serving = msgspec.to_builtins(spec.serving)
    release = Release(
        name=spec.application.name,
        artifacts=(Artifact("model", "", 0, engine=engine, made_by=made_by),),
        signature=spec.signature,
        preprocessing=spec.model.preprocessing,
        wrappers=spec.model.wrappers if trained.wrappers is None else trained.wrappers,
        data={"train": data_digest},
        serving={name: value for name, value in serving.items() if name not in _OF_THE_PROCESS},
        parent=parent,
        made_by=made_by,
        made_at=made_at,
        measured=trained.measured,
        note=trained.note,
        code=code,
        features=trained.features,
        training={"train": spec.model.train, "seed": seed, **trained.training},
        versions=versions or {},
    )
    return release, {"model": trained.file}


def written(plan: Any) -> str:
    """A plan of the project file as text: `{"onnx": {"threads": 2}}` is `onnx:threads=2`, anything richer is JSON."""
    if not plan:
        return ""
    name, settings = read_plan(plan)
    if not settings:
        return name
    text = f"{name}:{','.join(f'{key}={value}' for key, value in settings.items())}"
    told = {key: str(value) for key, value in settings.items()}
    plain = not any(isinstance(value, Mapping | list | tuple) for value in settings.values())
    return text if plain and read_plan(text) == (name, told) else msgspec.json.encode({name: settings}).decode()


def _as_trained(given: object, name: str) -> Trained:
    if isinstance(given, Trained):
        return given
    fields = Trained.__struct_fields__
    if not isinstance(given, Mapping) or "file" not in given:
        raise SpecError(f"`{name}` must return a Trained, or a mapping with `file`; got {given!r}")
    for key in given:
        if key not in fields:
            raise SpecError(unknown("field of Trained", str(key), fields))
    return Trained(**{**given, "file": Path(given["file"])})
