"""What a gRPC message of `infer` says, as our own types, and what we answer, as a message."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec
import numpy as np

from roadworthy.app.binary import from_bytes, text, to_bytes
from roadworthy.app.grpc_messages import messages
from roadworthy.app.infer_body import InferRequest
from roadworthy.app.outputs import WantedOutput
from roadworthy.core.errors import BadRequest, RoadworthyError
from roadworthy.core.wire import Datatype, Response, Tensor

_DATATYPES = get_args(Datatype)

# Which list of a message holds the values of a datatype; FP16 has none and travels as bytes.
_CONTENTS: dict[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def asked_of(message: Any) -> InferRequest:
    """What a ModelInferRequest asks, its tensors unchecked but well-formed. Raises BadRequest naming the input."""
    outputs = [WantedOutput(each.name, values_of(each.parameters)) for each in message.outputs]
    return InferRequest(_tensors(message), message.id or None, values_of(message.parameters), outputs)


def values_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as plain values. `tags`, which only JSON can say, is a JSON object in a string."""
    chosen = {name: each.WhichOneof("parameter_choice") for name, each in parameters.items()}
    values = {name: getattr(parameters[name], choice) for name, choice in chosen.items() if choice}
    if isinstance(values.get("tags"), str):
        try:
            values["tags"] = json.loads(values["tags"])
        except ValueError as wrong:
            raise BadRequest(f"parameter `tags` is not JSON: {wrong}; allowed: an object of text values") from wrong
    return values


def answer_of(model: str, response: Response, tensors: Sequence[Tensor], told: Mapping[str, Any], raw: bool) -> Any:
    """The ModelInferResponse. With `raw`, or where a tensor is FP16, all data are bytes: it is all or none."""
    answer = messages.ModelInferResponse(model_name=model, model_version=response.release, id=response.id)
    for name, value in told.items():
        _set(answer.parameters[name], value)
    raw = raw or any(tensor.datatype == "FP16" for tensor in tensors)
    for tensor in tensors:
        output = answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if raw:
            answer.raw_output_contents.append(to_bytes(tensor))
        else:
            getattr(output.contents, _CONTENTS[tensor.datatype]).extend(_typed(tensor))
    return answer


def _tensors(message: Any) -> list[Tensor]:
    raws = message.raw_input_contents
    if raws and len(raws) != len(message.inputs):
        raise BadRequest(
            f"there are {len(raws)} `raw_input_contents` for {len(message.inputs)} inputs; "
            "allowed: one for each input, or none at all"
        )
    return [_tensor(given, raws[i] if raws else None) for i, given in enumerate(message.inputs)]


def _tensor(given: Any, raw: bytes | None) -> Tensor:
    name, datatype, shape = given.name, given.datatype, tuple(given.shape)
    if datatype not in _DATATYPES:
        raise BadRequest(f"input {name!r} has datatype {datatype!r:.60}; allowed: {', '.join(_DATATYPES)}")
    if raw is not None:
        if given.HasField("contents"):
            raise BadRequest(f"input {name!r} has `contents` and `raw_input_contents`; allowed: one of them")
        return from_bytes(name, datatype, shape, memoryview(raw))
    if datatype not in _CONTENTS:
        raise BadRequest(f"input {name!r} is {datatype}, which no `contents` can hold; allowed: `raw_input_contents`")
    values = list(getattr(given.contents, _CONTENTS[datatype]))
    if datatype == "BYTES":
        values = [text(name, i, each) for i, each in enumerate(values)]
    return Tensor(name, datatype, shape, values)


def _typed(tensor: Tensor) -> list[Any]:
    values = tensor.data if isinstance(tensor.data, list) else np.asarray(tensor.data).reshape(-1).tolist()
    if tensor.datatype == "BYTES":
        return [each if isinstance(each, bytes) else str(each or "").encode() for each in values]
    if None in values and not tensor.datatype.startswith("FP"):
        raise RoadworthyError(
            f"output {tensor.name!r} has rows without a value, which {tensor.datatype} cannot say in gRPC; ask for it "
            f"as JSON over HTTP"
        )
    return [math.nan if each is None else each for each in values]


def _set(parameter: Any, value: Any) -> None:
    """A parameter is text, a number or a truth; whatever has parts is written as JSON."""
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int) and -(2**63) <= value < 2**63:
        parameter.int64_param = value
    elif isinstance(value, float):
        parameter.double_param = value
    elif isinstance(value, str):
        parameter.string_param = value
    else:
        parameter.string_param = msgspec.json.encode(value).decode()
