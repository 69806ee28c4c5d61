"""POST /predict: rows of plain JSON in, rows of plain JSON out, for whoever does not speak tensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from roadworthy.app.edge import Edge, read_body
from roadworthy.app.exchange import Call, Reply
from roadworthy.app.head import CALLER
from roadworthy.app.routes import Routes
from roadworthy.app.schedule import is_scheduled, with_schedule
from roadworthy.core.errors import BadRequest, unknown
from roadworthy.core.spec import Signature
from roadworthy.core.wire import Handler, Response, Tensor


class PlainRequest(Struct, forbid_unknown_fields=True):
    """`rows` is a list of objects, `columns` an object of lists; exactly one of them."""

    rows: list[dict[str, Any]] | None = None
    columns: dict[str, list[Any]] | None = None
    id: str | None = None
    parameters: dict[str, Any] | None = None


class Plain:
    """The route, over the same check as the tensors' protocol."""

    def __init__(self, handler: Handler, edge: Edge, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._handler, self._edge, self._monotonic = handler, edge, monotonic
        self._decoder = msgspec.json.Decoder(PlainRequest)
        self._encoder = msgspec.json.Encoder(enc_hook=lambda array: array.tolist())

    def add_to(self, routes: Routes) -> None:
        """POST /predict."""
        routes.add("POST", "/predict", self.predict)

    async def predict(self, call: Call) -> Reply:
        """One answered row for each row asked."""
        asked = read_body(self._decoder, call.body)
        tensors = _tensors(_columns(asked, self._edge.signature), self._edge.signature)
        request = self._edge.request(asked.id, tensors, asked.parameters, call.headers.get(CALLER, b""))
        if is_scheduled(call.headers, asked.parameters):
            request = with_schedule(request, call.headers, asked.parameters, self._monotonic())
        response = await self._handler(request)
        body: dict[str, Any] = {
            "id": response.id,
            "rows": _rows(response),
            "release": response.release,
            "arm": response.arm,
        }
        for told in ("path", "paths", "usd"):
            value = getattr(response, told)
            if value:
                body[told] = value
        return Reply(200, self._encoder.encode(body))


def _columns(asked: PlainRequest, signature: Signature) -> Mapping[str, list[Any]]:
    if (asked.rows is None) == (asked.columns is None):
        raise BadRequest('the body has both `rows` and `columns`, or neither; allowed: one, as {"rows": [{...}]}')
    if asked.rows is None:
        return asked.columns or {}
    names = list(signature.inputs)
    for i, row in enumerate(asked.rows):
        for name in row:
            if name not in signature.inputs:
                raise BadRequest(f"row {i}: {unknown('input', name, names)}")
        missing = [repr(name) for name in names if name not in row]
        if missing:
            # Not taken as null: a column that an upstream change dropped must not go unnoticed.
            raise BadRequest(f"row {i}: input {', '.join(missing)} is missing; allowed: every input, null if unknown")
    return {name: [row[name] for row in asked.rows] for name in names}


def _tensors(columns: Mapping[str, list[Any]], signature: Signature) -> list[Tensor]:
    tensors = []
    for name, values in columns.items():
        field = signature.inputs.get(name)
        if field is None:
            raise BadRequest(unknown("input", name, signature.inputs))
        tail = () if field.width == 1 else (field.width,)
        tensors.append(Tensor(name, field.datatype, (len(values), *tail), values))
    return tensors


def _rows(response: Response) -> list[dict[str, Any]]:
    outputs = response.outputs
    if not isinstance(outputs, Mapping):
        raise BadRequest("this model answers in a stream; allowed: the `infer` route of Open Inference V2")
    columns = {name: _by_row(tensor) for name, tensor in outputs.items()}
    if response.confidence is not None:
        columns["confidence"] = response.confidence
    if response.prediction_set is not None:
        columns["prediction_set"] = response.prediction_set
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _by_row(tensor: Tensor) -> Sequence[Any]:
    data = tensor.data if isinstance(tensor.data, list) else tensor.data.reshape(-1).tolist()
    n = tensor.shape[0]
    width = len(data) // n if n else 0
    return data if width == 1 else [data[i * width : (i + 1) * width] for i in range(n)]
