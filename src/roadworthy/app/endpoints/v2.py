"""An Open Inference V2 server as a Handler: Triton, KServe, MLServer or Roadworthy, one connection a request."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from roadworthy.app.answer_parameters import AnswerParameters
from roadworthy.app.endpoints.events import events
from roadworthy.app.endpoints.refusals import Failed, refusal, said
from roadworthy.app.endpoints.rows import whole_body
from roadworthy.app.endpoints.wire import Incoming, Wire
from roadworthy.core.errors import BadData, BadRequest, RoadworthyError
from roadworthy.core.wire import Request, Response, Tensor

EVENTS = "text/event-stream"


class _Answer(Struct):
    id: str = ""
    outputs: list[Tensor] = field(default_factory=list)
    model_version: str = ""
    parameters: msgspec.Raw = msgspec.Raw()


_ANSWERS = msgspec.json.Decoder(_Answer)
_TENSORS = msgspec.json.Decoder(Tensor)


class V2:
    """`POST {url}/v2/models/{model}/infer`; `url` may name the model itself, as `.../v2/models/{model}[/infer]`.

    Unlike `app.client.Remote`, which pipelines for throughput, it asks one thing at a time on a connection, so that a
    latency is that of its own request. A model that streams gives a Response whose outputs are a stream of tensors.
    """

    def __init__(self, url: str, model: str = "", **wire: Any) -> None:
        self.wire = Wire(url, **wire)
        base, _, named = self.wire.base.partition("/v2/models/")
        self.model = model or named.partition("/")[0]
        if not self.model:
            raise BadRequest(f"which model is asked at {url!r}? Name it: --model NAME, or .../v2/models/NAME")
        versioned = named.removesuffix("/infer") if "/versions/" in named else quote(self.model, safe="")
        self.path = f"{base.removesuffix('/v2')}/v2/models/{versioned}"

    def __repr__(self) -> str:
        return f"V2({self.wire.url + self.path!r})"

    async def __aenter__(self) -> V2:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.wire.__aexit__()

    async def __call__(self, request: Request) -> Response:
        """The answer. Raises what the server refused as the error of the same meaning, Lost and Late."""
        incoming = await self.wire.send("POST", f"{self.path}/infer", _body(request), request.deadline)
        if incoming.status == 200 and incoming.headers.get("content-type", "").startswith(EVENTS):
            return Response(request.id, _tensors(incoming, self.wire.url))
        raw = await incoming.read()
        if incoming.status != 200:
            raise refusal(self.wire.url, incoming.status, incoming.headers, raw)
        try:
            read = _ANSWERS.decode(raw)
        except msgspec.DecodeError as wrong:
            raise BadData(f"{self.wire.url} does not answer in Open Inference V2: {wrong}") from wrong
        told = AnswerParameters.of_any(read.parameters)
        return told.response(read.id or request.id, read.outputs, read.model_version)

    async def metadata(self) -> Mapping[str, Any]:
        """What the server says about the model: `inputs` with name, datatype and shape."""
        answer = await self.wire.ask("GET", self.path)
        if answer.status != 200:
            raise refusal(self.wire.url, answer.status, answer.headers, answer.body)
        try:
            told: dict[str, Any] = msgspec.json.decode(answer.body, type=dict[str, Any])
        except msgspec.DecodeError as wrong:
            raise BadData(f"{self.wire.url} does not speak Open Inference V2: {wrong}") from wrong
        return told


def _body(request: Request) -> bytes:
    whole = whole_body(request)
    if whole is not None:
        return msgspec.json.encode({**whole, "id": request.id})
    asked: dict[str, Any] = {"id": request.id, "inputs": list(request.inputs.values())}
    if request.parameters:
        asked["parameters"] = request.parameters
    return msgspec.json.encode(asked, enc_hook=lambda array: array.reshape(-1).tolist())


async def _tensors(incoming: Incoming, url: str) -> AsyncGenerator[Tensor, None]:
    """The tensors of a stream as they come, after the event that tells where they are from."""
    async with aclosing(events(incoming.pieces())) as found:
        async for event in found:
            if event.name == b"error":
                raise Failed(f"{url} failed in mid-stream: {said(event.data)}")
            if event.name != b"answer":
                yield _tensor(event.data, url)


def _tensor(data: bytes, url: str) -> Tensor:
    try:
        return _TENSORS.decode(data)
    except msgspec.DecodeError as wrong:
        error: RoadworthyError = BadData(f"a piece of the stream of {url} is no tensor: {wrong}")
        raise error from wrong
