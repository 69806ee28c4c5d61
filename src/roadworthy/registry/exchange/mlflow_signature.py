"""Signatures as MLflow writes them, read and written, and compared with what an application promises."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from roadworthy.core.errors import BadData, nearest
from roadworthy.core.spec import Field, Kind, Signature

# A pandas column of floats is `double`, and MLflow refuses one where it was promised `float`.
_WRITTEN: Mapping[Kind, str] = {
    "number": "double",
    "image": "double",
    "integer": "long",
    "category": "string",
    "text": "string",
    "boolean": "boolean",
}
_READ: Mapping[str, Kind] = {
    "double": "number",
    "float": "number",
    "long": "integer",
    "integer": "integer",
    "string": "text",
    "boolean": "boolean",
}
_TEXTS = ("text", "category")


class Wanted(NamedTuple):
    """One input of a model: its name ("" where MLflow keeps none), its kind, and its width (None: any)."""

    name: str
    kind: Kind
    width: int | None = 1
    required: bool = True


def read_inputs(told: Any, model: str) -> tuple[Wanted, ...] | None:
    """The inputs in an MLmodel's `signature`; None where there is none. Raises BadData naming what cannot be read."""
    if told is None or (isinstance(told, Mapping) and not told.get("inputs")):
        return None
    try:
        columns = json.loads(told["inputs"])
        return tuple(_wanted(column) for column in columns)
    except (KeyError, TypeError, ValueError, AttributeError) as wrong:
        raise BadData(
            f"the signature of MLflow model {model!r} cannot be read ({wrong!r}): log the model again with"
            " `signature=mlflow.models.infer_signature(inputs, outputs)`"
        ) from wrong


def check_promised(wanted: tuple[Wanted, ...], asked: Signature, model: str) -> None:
    """Raise BadData naming the first input that the model wants and the application does not promise."""
    if len(wanted) == 1 and wanted[0].name not in asked.inputs and not wanted[0].name:
        _check_width(wanted[0], sum(field.width for field in asked.inputs.values()), model)
        return
    for one in wanted:
        field = asked.inputs.get(one.name)
        if field is None and one.required:
            known = ", ".join(asked.inputs)
            raise BadData(
                f"MLflow model {model!r} wants an input {one.name!r}{nearest(one.name, asked.inputs)}, which the"
                f" application does not promise (it has: {known}); add it to `application.inputs`"
            )
        if field is not None:
            _check_kind(one, field, model)
            _check_width(one, field.width, model)


def written(signature: Signature) -> dict[str, str]:
    """A signature as an MLmodel has it. One output is a tensor without a name, as of a pyfunc that answers an array."""
    inputs = [_column(name, field) for name, field in signature.inputs.items()]
    outputs = [_tensor(field) for field in signature.outputs.values()]
    if len(outputs) > 1:
        outputs = [{**tensor, "name": name} for name, tensor in zip(signature.outputs, outputs, strict=True)]
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}


def _wanted(column: Mapping[str, Any]) -> Wanted:
    name, required = str(column.get("name", "")), bool(column.get("required", True))
    tensor = column.get("tensor-spec")
    if tensor is not None:
        sizes = [int(size) for size in tensor["shape"][1:]]
        width = None if any(size < 0 for size in sizes) else math.prod(sizes)
        return Wanted(name, _kind_of(str(tensor["dtype"])), width, required)
    if column["type"] == "array":
        return Wanted(name, _READ[column["items"]["type"]], None, required)
    if column["type"] not in _READ:
        raise ValueError(f"column {name!r} is of type {column['type']!r}; known are {', '.join(_READ)}, array")
    return Wanted(name, _READ[column["type"]], 1, required)


def _kind_of(dtype: str) -> Kind:
    if dtype.startswith(("int", "uint")):
        return "integer"
    if dtype.startswith("float"):
        return "number"
    if dtype == "bool":
        return "boolean"
    if dtype.startswith(("str", "object", "<U", "bytes")):
        return "text"
    raise ValueError(f"a tensor is of type {dtype!r}; known are numbers, bool and str")


def _check_kind(one: Wanted, field: Field, model: str) -> None:
    if (one.kind in _TEXTS) != (field.kind in _TEXTS):
        raise BadData(
            f"MLflow model {model!r} wants {one.kind} for input {one.name!r} and the application promises"
            f" {field.kind}: correct `application.inputs`, or train on that"
        )


def _check_width(one: Wanted, width: int, model: str) -> None:
    if one.width not in (None, width):
        where = f"input {one.name!r}" if one.name else "all inputs together"
        raise BadData(
            f"MLflow model {model!r} wants {one.width} values a row for {where}, the application promises {width}"
        )


def _column(name: str, field: Field) -> dict[str, Any]:
    # Only a column of floats has room for the nulls of a nullable whole number.
    kind = "number" if field.nullable and field.kind in ("integer", "boolean") else field.kind
    if field.width > 1:
        return {"type": "array", "items": {"type": _WRITTEN[kind]}, "name": name, "required": True}
    return {"type": _WRITTEN[kind], "name": name, "required": True}


def _tensor(field: Field) -> dict[str, Any]:
    shape = [-1, field.width] if field.width > 1 else [-1]
    dtype = "str" if field.kind in _TEXTS else "float64"
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}
