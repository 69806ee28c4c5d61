"""The body of an `infer` request: JSON, or JSON with the tensors' bytes behind it, or the bytes of one input alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from roadworthy.app.binary import from_bytes, text
from roadworthy.app.edge import read_body
from roadworthy.app.exchange import Call, Refused
from roadworthy.app.outputs import EVERYTHING, WantedOutput
from roadworthy.core.errors import BadRequest
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Datatype, Tensor

# Says how many bytes of the body are JSON; the tensors' bytes follow it.
HEADER = b"inference-header-content-length"
ENCODING = b"content-encoding"
SIZE = "binary_data_size"


class InferRequest(Struct, gc=False):
    """What `infer` is asked. The tensors are checked against the signature behind it."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[WantedOutput] | None = None


class _Input(Struct):
    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    data: Any = None
    parameters: dict[str, Any] | None = None


class _Mixed(Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[WantedOutput] | None = None


JSON = msgspec.json.Decoder(InferRequest)
_MIXED = msgspec.json.Decoder(_Mixed)


def read_infer(call: Call, signature: Signature) -> InferRequest:
    """What was asked, in whichever form it came. Raises BadRequest, or Refused (415) for a compressed body."""
    headers = call.headers
    if ENCODING in headers:
        _see_plain(headers[ENCODING])
    if HEADER not in headers:
        return read_body(JSON, call.body)
    length = _length(headers[HEADER], call.body)
    if not length:
        return _raw(call.body, signature)
    mixed = read_body(_MIXED, call.body[:length])
    tensors = _tensors(mixed.inputs, memoryview(call.body)[length:])
    return InferRequest(tensors, mixed.id, mixed.parameters, mixed.outputs)


def _see_plain(encoding: bytes) -> None:
    if encoding.lower() != b"identity":
        given = encoding.decode("latin-1")
        raise Refused(415, f"`content-encoding` is {given!r:.60}; allowed: none, send the body as it is")


def _length(given: bytes, body: bytes) -> int:
    length = int(given) if given.isdigit() and len(given) < 13 else -1
    if not 0 <= length <= len(body):
        shown = given.decode("latin-1")
        raise BadRequest(f"`Inference-Header-Content-Length` is {shown!r:.60}; allowed: 0 to the body's {len(body)}")
    return length


def _tensors(inputs: Sequence[_Input], blob: memoryview) -> list[Tensor]:
    """Each input takes its bytes off the front of `blob`; those with `data` take none."""
    tensors, start = [], 0
    for given in inputs:
        size = (given.parameters or {}).get(SIZE)
        if size is None:
            tensors.append(_told(given))
            continue
        if given.data is not None:
            raise BadRequest(f"input {given.name!r} has `data` and `{SIZE}`; allowed: one of them")
        if type(size) is not int or not 0 <= size <= len(blob) - start:
            raise BadRequest(
                f"input {given.name!r} has `{SIZE}` {size!r:.60}; allowed: 0 to the {len(blob) - start} bytes left"
            )
        raw = blob[start : start + size]
        tensors.append(from_bytes(given.name, given.datatype, given.shape, raw))
        start += size
    if start != len(blob):
        names = ", ".join(repr(given.name) for given in inputs)
        raise BadRequest(f"{len(blob) - start} bytes follow those of input {names}; allowed: as many as `{SIZE}` says")
    return tensors


def _told(given: _Input) -> Tensor:
    if given.data is None:
        raise BadRequest(f"input {given.name!r} has neither `data` nor `{SIZE}`; allowed: one of them")
    return Tensor(given.name, given.datatype, given.shape, given.data)


def _raw(body: bytes, signature: Signature) -> InferRequest:
    """One row of the only input and nothing else; all outputs are answered as bytes."""
    if len(signature.inputs) != 1:
        raise BadRequest(
            f"the model has {len(signature.inputs)} inputs; allowed: `Inference-Header-Content-Length: 0` for models "
            "with one, for the rest the length of the JSON that describes them"
        )
    ((name, field),) = signature.inputs.items()
    return InferRequest([_only(name, field, body)], parameters={EVERYTHING: True})


def _only(name: str, field: Field, body: bytes) -> Tensor:
    shape = (1,) if field.width == 1 else (1, field.width)
    if field.datatype == "BYTES" and field.width == 1:  # alone, a text needs no length in front
        return Tensor(name, "BYTES", shape, [text(name, 0, body)])
    return from_bytes(name, field.datatype, shape, memoryview(body))
