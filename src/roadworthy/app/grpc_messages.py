"""The messages of the Open Inference Protocol's gRPC service, made from a table at import: no compiler, no file.

They live in a descriptor pool of their own, so that a client's generated messages may be loaded beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

SERVICE = "inference.GRPCInferenceService"

# A field is `name: "number type"`; `*` before the type repeats it, `%` makes it the values of a map by name, and `|`
# puts it among those of which one is set.
_Fields = dict[str, str]
_PARAMETERS = "%InferParameter"

_MESSAGES: dict[str, _Fields] = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": "1 bool"},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": "1 bool"},
    "ModelReadyRequest": {"name": "1 string", "version": "2 string"},
    "ModelReadyResponse": {"ready": "1 bool"},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {"name": "1 string", "version": "2 string", "extensions": "3 *string"},
    "ModelMetadataRequest": {"name": "1 string", "version": "2 string"},
    "ModelMetadataResponse.TensorMetadata": {"name": "1 string", "datatype": "2 string", "shape": "3 *int64"},
    "ModelMetadataResponse": {
        "name": "1 string",
        "versions": "2 *string",
        "platform": "3 string",
        "inputs": "4 *ModelMetadataResponse.TensorMetadata",
        "outputs": "5 *ModelMetadataResponse.TensorMetadata",
        "properties": "6 %string",
    },
    "InferParameter": {
        "bool_param": "1 |bool",
        "int64_param": "2 |int64",
        "string_param": "3 |string",
        "double_param": "4 |double",
        "uint64_param": "5 |uint64",
    },
    "InferTensorContents": {
        "bool_contents": "1 *bool",
        "int_contents": "2 *int32",
        "int64_contents": "3 *int64",
        "uint_contents": "4 *uint32",
        "uint64_contents": "5 *uint64",
        "fp32_contents": "6 *float",
        "fp64_contents": "7 *double",
        "bytes_contents": "8 *bytes",
    },
    "ModelInferRequest.InferInputTensor": {
        "name": "1 string",
        "datatype": "2 string",
        "shape": "3 *int64",
        "parameters": f"4 {_PARAMETERS}",
        "contents": "5 InferTensorContents",
    },
    "ModelInferRequest.InferRequestedOutputTensor": {"name": "1 string", "parameters": f"2 {_PARAMETERS}"},
    "ModelInferRequest": {
        "model_name": "1 string",
        "model_version": "2 string",
        "id": "3 string",
        "parameters": f"4 {_PARAMETERS}",
        "inputs": "5 *ModelInferRequest.InferInputTensor",
        "outputs": "6 *ModelInferRequest.InferRequestedOutputTensor",
        "raw_input_contents": "7 *bytes",
    },
    "ModelInferResponse.InferOutputTensor": {
        "name": "1 string",
        "datatype": "2 string",
        "shape": "3 *int64",
        "parameters": f"4 {_PARAMETERS}",
        "contents": "5 InferTensorContents",
    },
    "ModelInferResponse": {
        "model_name": "1 string",
        "model_version": "2 string",
        "id": "3 string",
        "parameters": f"4 {_PARAMETERS}",
        "outputs": "5 *ModelInferResponse.InferOutputTensor",
        "raw_output_contents": "6 *bytes",
    },
    "ModelStreamInferResponse": {"error_message": "1 string", "infer_response": "2 ModelInferResponse"},
    "ModelRepositoryParameter": {
        "bool_param": "1 |bool",
        "int64_param": "2 |int64",
        "string_param": "3 |string",
        "bytes_param": "4 |bytes",
    },
    "RepositoryIndexRequest": {"repository_name": "1 string", "ready": "2 bool"},
    "RepositoryIndexResponse.ModelIndex": {
        "name": "1 string",
        "version": "2 string",
        "state": "3 string",
        "reason": "4 string",
    },
    "RepositoryIndexResponse": {"models": "1 *RepositoryIndexResponse.ModelIndex"},
    "RepositoryModelLoadRequest": {
        "repository_name": "1 string",
        "model_name": "2 string",
        "parameters": "3 %ModelRepositoryParameter",
    },
    "RepositoryModelLoadResponse": {},
    "RepositoryModelUnloadRequest": {
        "repository_name": "1 string",
        "model_name": "2 string",
        "parameters": "3 %ModelRepositoryParameter",
    },
    "RepositoryModelUnloadResponse": {},
}

_Proto = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    each: getattr(_Proto, f"TYPE_{each.upper()}")
    for each in ("bool", "int32", "int64", "uint32", "uint64", "float", "double", "string", "bytes")
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="roadworthy/inference.proto", package="inference", syntax="proto3")
    made: dict[str, Any] = {}
    # The outer message must be there before its inner ones.
    for name in sorted(_MESSAGES):
        outer, _, inner = name.rpartition(".")
        made[name] = made[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=name)
        _fill(made[name], name, _MESSAGES[name])
    return file


def _fill(message: descriptor_pb2.DescriptorProto, full: str, fields: _Fields) -> None:
    for name, told in fields.items():
        number, _, kind = told.partition(" ")
        field = message.field.add(name=name, number=int(number), label=_Proto.LABEL_OPTIONAL)
        if kind[0] in "*%":
            field.label = _Proto.LABEL_REPEATED
        if kind[0] == "|":
            field.oneof_index = 0
        if kind[0] == "%":
            kind = _entry(message, full, name, kind[1:])
        _type(field, kind.lstrip("*|"))
    if any(" |" in told for told in fields.values()):
        message.oneof_decl.add(name="parameter_choice")


def _entry(message: descriptor_pb2.DescriptorProto, full: str, name: str, value: str) -> str:
    """The message of one pair of a map, which protobuf wants nested and named after the field."""
    entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
    entry.options.map_entry = True
    for number, (part, kind) in enumerate((("key", "string"), ("value", value)), start=1):
        _type(entry.field.add(name=part, number=number, label=_Proto.LABEL_OPTIONAL), kind)
    return f"{full}.{entry.name}"


def _type(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _Proto.TYPE_MESSAGE, f".inference.{kind}"


def _classes(names: Iterable[str]) -> SimpleNamespace:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_file().SerializeToString())
    found = {name: pool.FindMessageTypeByName(f"inference.{name}") for name in names}
    return SimpleNamespace(**{name: message_factory.GetMessageClass(found[name]) for name in found})


# The message classes by name: `messages.ModelInferRequest`.
messages: Any = _classes(name for name in _MESSAGES if "." not in name)
