"""A release of the engines onnx and sklearn written as a folder that MLflow loads and that answers alike."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from roadworthy.core.artifact import Release
from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import BadData, SpecError, nearest
from roadworthy.core.spec import Field
from roadworthy.registry.exchange.mlflow_signature import written

# Writes the files of a packed folder into a folder, and returns the one that holds them.
Unpack = Callable[[Path, Path], Path]

_FILES = {"onnx": "model.onnx", "sklearn": "model.bin"}
# A cache changes no answer, and is nobody's business at the other end.
_LEFT_OUT = ("cache",)
# The settings of each wrapper that the loader knows, with what they are where nobody says.
_BEFORE: Mapping[str, Mapping[str, Any]] = {"rescale": {"column": "", "scale": 1.0, "offset": 0.0, "modulo": None}}
_AFTER: Mapping[str, Mapping[str, Any]] = {
    "calibrated": {"slope": 1.0, "intercept": 0.0, "output": "probability"},
    "temperature": {"temperature": 1.0, "output": "scores"},
}
_NEEDS = {"onnx": ("numpy", "onnxruntime"), "sklearn": ("numpy", "scikit-learn", "skops", "joblib")}
_DTYPES = {"FP32": "float32", "INT64": "int64", "BYTES": "object", "BOOL": "bool"}


def plans_kept(release: Release) -> list[tuple[str, dict[str, Any]]]:
    """The wrappers of a release that decide answers, from the request to the model."""
    plans = [read_plan(plan) for plan in (*release.preprocessing, *release.wrappers)]
    return [(name, settings) for name, settings in plans if name not in _LEFT_OUT]


def write_pyfunc(release: Release, files: Mapping[str, Path], folder: Path, unpack: Unpack) -> Path:
    """Write the model, its wrappers and what loads them into `folder`. Raises SpecError for what MLflow cannot do."""
    name, settings = engine_of(release)
    told = _answers(release, name, settings)
    (folder / "data").mkdir(parents=True)
    _copy(files["model"], folder / "data" / told["file"], unpack)
    (folder / "data" / "answers.json").write_text(json.dumps(told, indent=1, sort_keys=True), encoding="utf-8")
    loader = _write_loader(folder / "code")
    _write_environment(folder, release, name)
    model = _mlmodel(release, loader, _own_flavour(release, name, folder / "data" / told["file"]))
    (folder / "MLmodel").write_text(yaml.safe_dump(model, sort_keys=True, allow_unicode=True), encoding="utf-8")
    return folder


def engine_of(release: Release) -> tuple[str, dict[str, Any]]:
    """The name and the settings of the engine that runs the release's model. Raises SpecError without one."""
    if release.members:
        names = ", ".join(member.name for member in release.members)
        raise SpecError(
            f"release {release.name!r} is several models that answer together ({names}), and MLflow holds one: release "
            "a member by itself, and export that"
        )
    model = next((artifact for artifact in release.artifacts if artifact.name == "model"), None)
    if model is None or not model.engine:
        raise SpecError(f"release {release.name!r} has no artifact 'model' with an engine, which is what is exported")
    return read_plan(model.engine)


def _answers(release: Release, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the loader must know. Raises SpecError naming the engine or the wrapper that it cannot stand in for."""
    if name not in _FILES:
        known = ", ".join(sorted((*_FILES, "mlflow")))
        raise SpecError(
            f"a model of engine {name!r} cannot be exported to MLflow{nearest(name, _FILES)} (known: {known}): export"
            " it as ONNX first, and release that"
        )
    before, after = _wrappers(release)
    output = next(iter(release.signature.outputs)) if len(release.signature.outputs) == 1 else ""
    return {
        "engine": name,
        "file": _FILES[name],
        "trust": str(settings.get("trust", False)).lower() == "true",
        "inputs": [_input(name, field) for name, field in release.signature.inputs.items()],
        "graph_inputs": settings.get("inputs", {}),
        "output": output or settings.get("output", ""),
        "before": before,
        "after": after,
    }


def _wrappers(release: Release) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Those that change inputs in their order, and those that change outputs from the model outwards."""
    before, after = [], []
    for name, settings in plans_kept(release):
        if name in _BEFORE:
            before.append(_step(name, _BEFORE[name], settings))
        elif name in _AFTER:
            after.append(_step(name, _AFTER[name], settings))
        else:
            known = ", ".join((*_BEFORE, *_AFTER, *_LEFT_OUT))
            raise SpecError(
                f"wrapper {name!r} of release {release.name!r} cannot be taken along to MLflow (can: {known}): the"
                " model would answer otherwise there; put what it does into the model itself"
            )
    return before, after[::-1]


def _step(wrapper: str, usual: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    known = {**usual, **{key: value for key, value in settings.items() if key in usual}}
    texts = ("column", "output")
    return {"wrapper": wrapper} | {
        key: value if value is None or key in texts else float(value) for key, value in known.items()
    }


def _input(name: str, field: Field) -> dict[str, Any]:
    # As `serve` does: only floats have room for the nulls of a nullable whole number.
    floats = field.nullable and field.kind in ("integer", "boolean")
    dtype = "float32" if floats else _DTYPES[field.datatype]
    return {"name": name, "dtype": dtype, "width": field.width, "whole": field.kind == "integer"}


def _copy(file: Path, to: Path, unpack: Unpack) -> None:
    # A folder with a graph in it, and not a format that is a zip archive itself.
    if not _holds(file, ".onnx"):
        shutil.copyfile(file, to)
        return
    unpacked = to.with_name(".unpacked")
    unpacked.mkdir()
    unpack(file, unpacked).rename(to)
    shutil.rmtree(unpacked, ignore_errors=True)


def _holds(file: Path, end: str) -> bool:
    """Whether a file is a zip archive with an entry whose name ends so."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith(end) for name in archive.namelist())


def _write_loader(folder: Path) -> str:
    """The loader under a name of its own: two versions of it may be loaded in one process."""
    folder.mkdir()
    source = Path(__file__).with_name("mlflow_loader.py").read_bytes()
    name = f"roadworthy_loader_{hashlib.sha256(source).hexdigest()[:8]}"
    (folder / f"{name}.py").write_bytes(source)
    return name


def _write_environment(folder: Path, release: Release, engine: str) -> None:
    """The packages that the loader needs, pinned where the release says with which version it was made."""
    pins = [f"{name}=={release.versions[name]}" if name in release.versions else name for name in _NEEDS[engine]]
    (folder / "requirements.txt").write_text("\n".join(("mlflow", *pins)) + "\n", encoding="utf-8")
    python = release.versions.get("python")
    told: dict[str, Any] = {"python": python} if python else {}
    told |= {"build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")


def _own_flavour(release: Release, engine: str, file: Path) -> dict[str, Any]:
    """The model itself beside the function, for `mlflow.onnx` and `mlflow.sklearn`, and to be served here again.

    With wrappers only the function answers as the release did: nobody is led to the model without them.
    """
    if plans_kept(release):
        return {}
    where = f"data/{file.name}"
    if engine == "onnx":
        return {"onnx": {"data": where, "code": None, "providers": ["CPUExecutionProvider"]}} if file.is_file() else {}
    if not _holds(file, "schema.json"):
        return {}
    return {"sklearn": {"pickled_model": where, "serialization_format": "skops", "skops_trusted_types": None}}


def _mlmodel(release: Release, loader: str, own: Mapping[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = {
        "loader_module": loader,
        "data": "data",
        "code": "code",
        "env": {"virtualenv": "python_env.yaml"},
    }
    if "python" in release.versions:
        function["python_version"] = release.versions["python"]
    made = datetime.datetime.fromtimestamp(release.made_at, datetime.UTC).replace(tzinfo=None)
    return {
        "flavors": {"python_function": function, **own},
        "signature": {**written(release.signature), "params": None},
        "model_uuid": release.digest[:32],
        "utc_time_created": made.isoformat(sep=" "),
        "metadata": {"roadworthy": {"release": release.digest, "name": release.name}},
    }


def check_folder(folder: Path) -> Path:
    """The folder of a packed MLflow model, as it is. Raises BadData where it holds no MLmodel."""
    if not (folder / "MLmodel").is_file():
        raise BadData(f"the release's model holds no file 'MLmodel': it was not made by MLflow ({folder})")
    return folder
