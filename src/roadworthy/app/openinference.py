"""The Open Inference Protocol V2 over REST: health, metadata and inference of one deployment.

It knows JSON and tensors; what answers is given to it as a Served.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

import roadworthy
from roadworthy.app.edge import Edge, read_body
from roadworthy.app.exchange import EVENTS, Call, Refused, Reply, json_reply
from roadworthy.app.routes import Routes
from roadworthy.core.errors import BadRequest, Missing, RoadworthyError, nearest
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Step, Tensor


class Served(Protocol):
    """What the protocols speak for. Calling it answers; `version` is the Handler of one release alone."""

    @property
    def name(self) -> str: ...
    @property
    def signature(self) -> Signature: ...
    @property
    def versions(self) -> tuple[str, ...]: ...
    @property
    def ready(self) -> bool: ...
    def version(self, release: str) -> Handler: ...
    def __call__(self, request: Request) -> Awaitable[Response]: ...


class InferRequest(Struct):
    """The body of `infer`. Tensors are checked against the signature behind it."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None


class Told(Struct, omit_defaults=True):
    """The `parameters` of an answer: where it came from and how sure it is."""

    release: str
    arm: str
    confidence: Any = None
    prediction_set: Any = None
    path: tuple[Step, ...] = ()


class InferAnswer(Struct):
    """The body that answers `infer`."""

    id: str
    model_name: str
    model_version: str
    outputs: list[Tensor]
    parameters: Any


class OpenInference:
    """The routes of the protocol; `add_to` puts them into a table."""

    def __init__(self, served: Served, edge: Edge) -> None:
        self._served, self._edge = served, edge
        self._decoder = msgspec.json.Decoder(InferRequest)
        self._encoder = msgspec.json.Encoder(enc_hook=_listed)

    def add_to(self, routes: Routes) -> None:
        """The deployment's own infer path is exact; everything else below /v2/models/ is looked at."""
        routes.add("GET", "/v2", self._server)
        routes.add("GET", "/v2/health/live", self._live)
        routes.add("GET", "/v2/health/ready", self._ready)
        routes.add("POST", f"/v2/models/{self._served.name}/infer", self.infer)
        routes.add("GET", "/v2/models/*", self._model)
        routes.add("POST", "/v2/models/*", self._infer_version)

    async def infer(self, call: Call) -> Reply:
        """Answer with whatever the traffic split chooses."""
        return await self._answer(call, self._served)

    async def _answer(self, call: Call, handler: Handler) -> Reply:
        if b"inference-header-content-length" in call.headers:
            raise BadRequest("binary tensors are not understood here; allowed: `data` as JSON")
        asked = read_body(self._decoder, call.body)
        response = await handler(self._edge.request(asked.id, asked.inputs, asked.parameters))
        outputs = response.outputs
        if type(outputs) is not dict and not isinstance(outputs, Mapping):
            return Reply(200, content_type=EVENTS, stream=self._events(outputs))
        return Reply(200, self._encoder.encode(self._told(response, list(outputs.values()))))

    def _told(self, response: Response, outputs: list[Tensor]) -> InferAnswer:
        told: Any = Told(
            response.release, response.arm, response.confidence, response.prediction_set, response.path or ()
        )
        if response.parameters:
            told = {**response.parameters, **msgspec.to_builtins(told, enc_hook=_listed)}
        return InferAnswer(response.id, self._served.name, response.release, outputs, told)

    async def _events(self, tensors: AsyncIterator[Tensor]) -> AsyncGenerator[bytes, None]:
        """One server-sent event a tensor. A failure is the last event, for the status is out by then."""
        try:
            async for tensor in tensors:
                yield b"data: %b\n\n" % self._encoder.encode(tensor)
        except RoadworthyError as error:
            yield b"event: error\ndata: %b\n\n" % msgspec.json.encode({"error": str(error)})

    async def _server(self, call: Call) -> Reply:
        return json_reply({"name": "roadworthy", "version": roadworthy.__version__, "extensions": []})

    async def _live(self, call: Call) -> Reply:
        return json_reply({"live": True})

    async def _ready(self, call: Call) -> Reply:
        ready = self._served.ready
        return json_reply({"ready": ready}, 200 if ready else 503)

    async def _model(self, call: Call) -> Reply:
        version, verb = self._below(call)
        if version:
            self._served.version(version)
        if verb == "ready":
            return json_reply(
                {"name": self._served.name, "ready": self._served.ready}, 200 if self._served.ready else 503
            )
        if verb == "infer":
            raise Refused(405, "`infer` takes POST, not GET")
        if verb:
            raise Missing(f"no {verb!r} below a model{nearest(verb, ('ready', 'infer'))} (known: ready, infer)")
        signature = self._served.signature
        return json_reply(
            {
                "name": self._served.name,
                "versions": self._served.versions,
                "platform": "roadworthy",
                "inputs": [_described(name, field) for name, field in signature.inputs.items()],
                "outputs": [_described(name, field) for name, field in signature.outputs.items()],
            }
        )

    async def _infer_version(self, call: Call) -> Reply:
        version, verb = self._below(call)
        if verb != "infer":
            raise Missing(f"nothing to POST at {call.path.decode('utf-8', 'replace')!r}; allowed: .../infer")
        return await self._answer(call, self._served.version(version) if version else self._served)

    def _below(self, call: Call) -> tuple[str, str]:
        """The version and the verb in `/v2/models/NAME[/versions/VERSION][/VERB]`. Raises Missing for another name."""
        name, _, rest = call.path.decode("utf-8", "replace").removeprefix("/v2/models/").partition("/")
        if name != self._served.name:
            known = self._served.name
            raise Missing(f"no model named {name!r}{nearest(name, (known,))} (known: {known})")
        if not rest.startswith("versions/"):
            return "", rest
        version, _, verb = rest.removeprefix("versions/").partition("/")
        return version, verb


def _described(name: str, field: Field) -> dict[str, Any]:
    return {"name": name, "datatype": field.datatype, "shape": [-1] if field.width == 1 else [-1, field.width]}


def _listed(array: Any) -> Any:
    """Arrays, which an engine may leave in a tensor, as JSON writes them."""
    return array.tolist()
