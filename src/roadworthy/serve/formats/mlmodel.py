"""Reads the description of an MLflow model: what it is, which file holds it, and what goes in and out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from roadworthy.core.errors import BadData
from roadworthy.core.spec import Field, Kind, Signature
from roadworthy.serve.formats.archive import AGAIN, inside
from roadworthy.serve.formats.base import Unsafe

Runs = Literal["onnx", "sklearn", "python_function"]

_MOST_BYTES = 1 << 20
_FILES = {"onnx": ("data", "model.onnx"), "sklearn": ("pickled_model", "model.pkl")}
_KINDS: Mapping[str, Kind] = {
    "double": "number",
    "float": "number",
    "long": "integer",
    "integer": "integer",
    "string": "text",
    "boolean": "boolean",
}


class Described(NamedTuple):
    """What to run and where it is. `file` is the folder itself for a `python_function`."""

    runs: Runs
    file: Path
    signature: Signature | None


def read_mlmodel(folder: Path, trust: bool = False) -> Described:
    """The first flavour that can be run here. Raises Unsafe for one that runs code of its own, unless trusted."""
    told = _told(folder)
    flavours = told.get("flavors")
    if not isinstance(flavours, dict) or not flavours:
        raise BadData(f"{str(folder / 'MLmodel')!r} names no flavours; save the model again with MLflow")
    signature = _signature(told.get("signature"))
    for name, (key, usual) in _FILES.items():
        if isinstance(flavours.get(name), dict):
            return Described(name, _file(folder, flavours[name].get(key, usual)), signature)  # type: ignore[arg-type]
    if not trust:
        _refuse(folder, flavours)
    return Described("python_function", folder, signature)


def _told(folder: Path) -> dict[str, Any]:
    file = folder / "MLmodel"
    if not file.is_file():
        raise BadData(f"{str(folder)!r} is no MLflow model: it has no file `MLmodel`")
    size = file.stat().st_size
    if size > _MOST_BYTES:
        raise Unsafe(str(file), f"it has {size:,} bytes, and a description has fewer than {_MOST_BYTES:,}", AGAIN)
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as wrong:
        raise BadData(f"{str(file)!r} is not readable as YAML: {wrong}") from wrong
    if not isinstance(told, dict):
        raise BadData(f"{str(file)!r} is not a mapping of names, but {told!r:.60}")
    return told


def _file(folder: Path, path: Any) -> Path:
    if not isinstance(path, str) or not inside(path):
        raise Unsafe(str(folder / "MLmodel"), f"its model lies in {path!r:.80}, outside of its folder")
    file = folder / path
    if file.is_symlink() or not file.is_file():
        raise BadData(f"{str(folder / 'MLmodel')!r} says that the model is in {path!r}, where there is no file")
    return file


def _refuse(folder: Path, flavours: Mapping[str, Any]) -> None:
    python = flavours.get("python_function")
    loader = python.get("loader_module") if isinstance(python, dict) else None
    how = f"it is loaded by the Python code of {loader!r}" if loader else "it has no flavour that is run here"
    raise Unsafe(str(folder / "MLmodel"), f"{how} (flavours: {', '.join(map(str, flavours))}; run here: onnx, sklearn)")


def _signature(told: Any) -> Signature | None:
    """Inputs and outputs by name; None where the model does not tell them."""
    try:
        sides = [dict(_fields(json.loads(told[side]), side)) for side in ("inputs", "outputs")]
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
    return Signature(*sides)


def _fields(columns: list[dict[str, Any]], side: str) -> Iterator[tuple[str, Field]]:
    for column in columns:
        spec = column.get("tensor-spec")
        if spec is None:
            nullable = not column.get("required", True)
            yield column.get("name", side[:-1]), Field(_KINDS[column["type"]], nullable=nullable)
            continue
        width = spec["shape"][1] if len(spec["shape"]) > 1 else 1
        whole, text = spec["dtype"].startswith(("int", "uint")), spec["dtype"] in ("str", "object")
        kind: Kind = "boolean" if spec["dtype"] == "bool" else "integer" if whole else "text" if text else "number"
        yield column.get("name", side[:-1]), Field(kind, width=width)
