"""JSON Schemas of what goes in and out: of a Signature's tensors and rows, and of the small bodies around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from roadworthy.app.edge import MOST_ID
from roadworthy.core.spec import Field, Kind, Signature

Json = dict[str, Any]

_INTEGERS = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
_DATATYPES: Mapping[Kind, list[str]] = {
    "number": ["FP32", "FP64", "FP16", *_INTEGERS],
    "integer": [*_INTEGERS, "FP16", "FP32", "FP64"],
    "category": ["BYTES"],
    "text": ["BYTES"],
    "boolean": ["BOOL"],
}
# Larger numbers would be infinities to the model.
_TYPES: Mapping[Kind, Json] = {
    "number": {"type": "number", "minimum": -3.4028234e38, "maximum": 3.4028234e38},
    "integer": {"type": "integer", "minimum": 1 - 2**63, "maximum": 2**63 - 1},
    "category": {"type": "string"},
    "text": {"type": "string"},
    "boolean": {"type": "boolean"},
}

ERROR: Json = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
LIVE: Json = {"type": "object", "required": ["live"], "properties": {"live": {"type": "boolean"}}}
READY: Json = {
    "type": "object",
    "required": ["ready"],
    "properties": {"ready": {"type": "boolean"}, "name": {"type": "string"}},
}
SERVER: Json = {
    "type": "object",
    "required": ["name", "version", "extensions"],
    "properties": {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "extensions": {"type": "array", "items": {"type": "string"}},
    },
}
INDEX: Json = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "version", "state", "reason"],
        "properties": {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "state": {"enum": ["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]},
            "reason": {"type": "string"},
        },
    },
}

# OpenAPI 3.1 has no word for it, but it is common to let the schema of a stream describe each event.
EVENT: Json = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}, "id": {"type": "string"}},
}

_PARAMETERS: Json = {
    "key": {"type": ["string", "null"], "description": "Requests with the same key are answered by the same arm."},
    "tags": {
        "type": ["object", "null"],
        "additionalProperties": {"type": "string"},
        "description": "Copied into the record: segment, tenant and the like.",
    },
    "at": {
        "type": ["number", "null"],
        "description": "Unix seconds of the event; counts where the server replays.",
    },
}
_SCHEDULE: Json = {
    "timeout": {
        "type": "integer",
        "minimum": 0,
        "description": "Microseconds after which the answer is of no use; 0: the server's own.",
    },
    "priority": {
        "type": "integer",
        "minimum": 0,
        "maximum": 3,
        "description": "1 is served first and shed last, 3 the other way round; 0: the default, 2.",
    },
}
_BINARY: Json = {
    "binary_data_output": {"type": "boolean", "description": "Answer every output as bytes behind the JSON."},
}


def infer_request(signature: Signature) -> Json:
    """The body of `infer`, with one row."""
    inputs = signature.inputs
    return {
        "type": "object",
        "required": ["inputs"],
        "description": "For n rows, n is the first number of every `shape` and `data` is n times as long. `data` may "
        "also be nested, one list a row, and the inputs may come in any order.",
        "properties": {
            "id": _identifier(),
            "parameters": {"type": ["object", "null"], "properties": {**_PARAMETERS, **_SCHEDULE, **_BINARY}},
            "inputs": {
                "type": "array",
                "prefixItems": [_input_tensor(name, field) for name, field in inputs.items()],
                "items": False,
                "minItems": len(inputs),
                "maxItems": len(inputs),
            },
            "outputs": {"type": ["array", "null"], "items": _wanted_output(signature)},
        },
        "examples": [{"inputs": [_example_tensor(name, field) for name, field in inputs.items()]}],
    }


def infer_answer(signature: Signature) -> Json:
    """The body that answers `infer`; the data of outputs that are answered as bytes follow it."""
    tensor: Json = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string", "examples": list(signature.outputs)},
            "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "data": {"type": "array"},
            "parameters": {"type": "object", "properties": {"binary_data_size": {"type": "integer"}}},
        },
    }
    return {
        "type": "object",
        "required": ["id", "model_name", "model_version", "outputs", "parameters"],
        "properties": {
            "id": {"type": "string"},
            "model_name": {"type": "string"},
            "model_version": {"type": "string", "description": "The digest of the release that answered."},
            "outputs": {"type": "array", "items": tensor},
            "parameters": _told(),
        },
    }


def predict_request(signature: Signature) -> Json:
    """The body of `predict`: rows, or columns of one row."""
    inputs = signature.inputs
    around = {
        "id": _identifier(),
        "parameters": {"type": ["object", "null"], "properties": {**_PARAMETERS, **_SCHEDULE}},
    }
    row: Json = {
        "type": "object",
        "required": list(inputs),
        "properties": {name: _value(field) for name, field in inputs.items()},
        "additionalProperties": False,
    }
    columns = {
        **row,
        "description": "A list for each input, all of the same length.",
        "properties": {name: _list_of(_value(field), 1) for name, field in inputs.items()},
    }
    return {
        "oneOf": [
            {
                "type": "object",
                "required": [name],
                "properties": {name: schema, **around},
                "additionalProperties": False,
            }
            for name, schema in (("rows", {"type": "array", "minItems": 1, "items": row}), ("columns", columns))
        ],
        "examples": [{"rows": [{name: _example_value(field) for name, field in inputs.items()}]}],
    }


def predict_answer(signature: Signature) -> Json:
    """The body that answers `predict`."""
    row = {
        "type": "object",
        "required": list(signature.outputs),
        "properties": {name: {} for name in signature.outputs},
    }
    return {
        "type": "object",
        "required": ["id", "rows", "release", "arm"],
        "properties": {
            "id": {"type": "string"},
            "rows": {"type": "array", "items": row},
            "release": {"type": "string"},
            "arm": {"type": "string"},
            "path": _path(),
            "paths": {"type": "array", "items": _path()},
            "usd": {"type": "number"},
        },
    }


def model_metadata() -> Json:
    """What a model tells of itself."""
    tensor = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}},
        },
    }
    tensors = {"type": "array", "items": tensor}
    return {
        "type": "object",
        "required": ["name", "versions", "platform", "inputs", "outputs"],
        "properties": {
            "name": {"type": "string"},
            "versions": {"type": "array", "items": {"type": "string"}},
            "platform": {"type": "string"},
            "inputs": tensors,
            "outputs": tensors,
        },
    }


def repository_change() -> Json:
    """The body of `load` and `unload`."""
    return {"type": "object", "properties": {"parameters": {"type": ["object", "null"]}}}


def _told() -> Json:
    """Where an answer came from and how sure it is; handlers on the way may tell more."""
    return {
        "type": "object",
        "required": ["release", "arm"],
        "properties": {
            "release": {"type": "string"},
            "arm": {"enum": ["stable", "canary", "shadow", "fallback", "holdback"]},
            "confidence": {"type": "array", "items": {"type": ["number", "null"]}},
            "prediction_set": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
            "path": _path(),
            "paths": {"type": "array", "items": _path(), "description": "One a row, where the rows parted."},
            "usd": {"type": "number"},
            "unconfirmed": {"type": "integer", "description": "Rows whose answer a cascade was not sure of."},
        },
    }


def _path() -> Json:
    """The stops of a request on its way: why it went on or stayed, and what the stop cost and took."""
    words, number = {"type": "string"}, {"type": "number"}
    told = {"at": words, "because": words, "usd": number, "seconds": number}
    step = {"type": "object", "properties": told}
    return {"type": "array", "items": step}


def _identifier() -> Json:
    told = "Comes back in the answer, and is what labels are joined by."
    return {"type": ["string", "null"], "maxLength": MOST_ID, "description": told}


def _input_tensor(name: str, field: Field) -> Json:
    shapes = [[1], [1, 1]] if field.width == 1 else [[1, field.width]]
    return {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": name},
            "datatype": {"enum": _DATATYPES[field.kind]},
            "shape": {"enum": shapes},
            "data": _list_of(_one_value(field), field.width),
        },
    }


def _wanted_output(signature: Signature) -> Json:
    parameters = {
        "type": ["object", "null"],
        "properties": {"binary_data": {"type": "boolean"}, "classification": False, "shared_memory_region": False},
    }
    return {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"enum": list(signature.outputs)}, "parameters": parameters},
    }


def _value(field: Field) -> Json:
    return _one_value(field) if field.width == 1 else _list_of(_one_value(field), field.width)


def _one_value(field: Field) -> Json:
    """A bound that the data keep but the server does not insist on is told in words, as are the known categories."""
    schema = dict(_TYPES[field.kind])
    if field.nullable:
        schema["type"] = [schema["type"], "null"]
    told = [field.meaning, field.unit and f"in {field.unit}", _range(field)]
    if any(told):
        schema["description"] = "; ".join(each for each in told if each)
    schema["examples"] = list(field.values) or [_example_one(field)]
    return schema


def _range(field: Field) -> str:
    low, high = (None if bound is None else f"{bound:g}" for bound in (field.low, field.high))
    if low and high:
        return f"usually {low} to {high}"
    return f"usually at least {low}" if low else f"usually at most {high}" if high else ""


def _list_of(schema: Json, n: int) -> Json:
    return {"type": "array", "items": schema, "minItems": n, "maxItems": n}


def _example_tensor(name: str, field: Field) -> Json:
    shape = [1] if field.width == 1 else [1, field.width]
    return {"name": name, "datatype": field.datatype, "shape": shape, "data": [_example_one(field)] * field.width}


def _example_value(field: Field) -> Any:
    return _example_one(field) if field.width == 1 else [_example_one(field)] * field.width


def _example_one(field: Field) -> Any:
    """A value within the range: the middle of it, or zero where that is inside."""
    if field.kind in ("category", "text"):
        return field.values[0] if field.values else "text"
    if field.kind == "boolean":
        return False
    low, high = field.low, field.high
    middle = (
        (low + high) / 2 if low is not None and high is not None else max(low or 0.0, 0.0) if high is None else high
    )
    return round(middle) if field.kind == "integer" else middle
