"""The Open Inference Protocol V2 over REST: health, metadata and inference of one deployment.

It knows JSON and tensors; what answers is given to it as a Served.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

import roadworthy
from roadworthy.app.edge import Edge, read_body
from roadworthy.app.exchange import EVENTS, Call, Reply, json_reply
from roadworthy.app.head import CALLER
from roadworthy.app.infer_body import ENCODING, HEADER, JSON, InferRequest, read_infer
from roadworthy.app.outputs import EVERYTHING, BinaryOutput, Wish, wish_of
from roadworthy.app.repository import Repository
from roadworthy.app.routes import NotAllowed, Routes
from roadworthy.app.schedule import ENVOY, GRPC, SCHEDULING, is_scheduled, with_schedule
from roadworthy.core.errors import Missing, RoadworthyError, nearest
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Step, Tensor

EXTENSIONS = ("binary_tensor_data", "parameters", "schedule_policy")
PLATFORM = "roadworthy"
BINARY = b"application/octet-stream"

# The headers and the parameters that change what a request means here; most have none of them.
_TELLING = frozenset({HEADER, ENCODING, ENVOY, GRPC})
_UNDERSTOOD = frozenset({EVERYTHING, *SCHEDULING})

# What stands below a model, and the methods that it takes.
_TAKES = {"": (b"GET", b"HEAD"), "ready": (b"GET", b"HEAD"), "infer": (b"POST",)}
_BELOW = ("ready", "infer")


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


class Told(Struct, omit_defaults=True, gc=False):
    """The `parameters` of an answer: where it came from, how sure it is and what it cost.

    Where rows of one request went different ways, there are `paths`, one a row.
    """

    release: str
    arm: str
    confidence: Any = None
    prediction_set: Any = None
    path: tuple[Step, ...] = ()
    paths: Any = None
    usd: float | None = None


class InferAnswer(Struct, gc=False):
    """The body that answers `infer`; a stream begins with it, less its `outputs`."""

    id: str
    model_name: str
    model_version: str
    outputs: list[Tensor] | list[Tensor | BinaryOutput] | msgspec.UnsetType
    parameters: Any


class TensorMetadata(Struct):
    """An input or output as metadata tell it; -1 stands for the number of rows."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class OpenInference:
    """The routes of the protocol; `add_to` puts them into a table.

    `repository` adds its own where there is one, and `monotonic` is the clock of deadlines.
    """

    def __init__(
        self,
        served: Served,
        edge: Edge,
        repository: Repository | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._served, self._edge, self._repository, self._monotonic = served, edge, repository, monotonic
        self._name = served.name
        self._encode = msgspec.json.Encoder(enc_hook=as_lists).encode

    def add_to(self, routes: Routes) -> None:
        """The deployment's own paths are exact; everything else below /v2/models/ is looked at."""
        model = f"/v2/models/{self._served.name}"
        routes.add("GET", "/v2", self._server)
        routes.add("GET", "/v2/health/live", self._live)
        routes.add("GET", "/v2/health/ready", self._ready)
        routes.add("GET", model, self._version)
        routes.add("GET", f"{model}/ready", self._version)
        routes.add("POST", f"{model}/infer", self.infer)
        for method in ("GET", "POST", "OPTIONS"):
            routes.add(method, "/v2/models/*", self._version)
        if self._repository is not None:
            self._repository.add_to(routes)

    def infer(self, call: Call) -> Coroutine[Any, Any, Reply]:
        """Answer with whatever the traffic split chooses."""
        return self._answer(call, self._served)

    async def _answer(self, call: Call, handler: Handler) -> Reply:
        headers = call.headers
        ordinary = _TELLING.isdisjoint(headers)  # one look for all of them: this is the hot path
        asked = read_body(JSON, call.body) if ordinary else read_infer(call, self._served.signature)
        parameters = asked.parameters
        usual = not parameters or _UNDERSTOOD.isdisjoint(parameters)
        wish = None if usual and not asked.outputs else self._wish(asked)
        request = self._edge.request(asked.id, asked.inputs, parameters, headers.get(CALLER, b""))
        if not (ordinary and usual) and is_scheduled(headers, parameters):
            request = with_schedule(request, headers, parameters, self._monotonic())
        response = await handler(request)
        outputs = response.outputs
        if type(outputs) is not dict and not isinstance(outputs, Mapping):
            return Reply(200, content_type=EVENTS, stream=self._events(response, outputs, wish))
        if wish is not None:
            return self._chosen(response, wish, outputs)
        # As `_told` does it, without two calls.
        release, tensors = response.release, list(outputs.values())
        told: Any = parameters_of(response) if response.parameters else told_of(response)
        return Reply(200, self._encode(InferAnswer(response.id, self._name, release, tensors, told)))

    def _wish(self, asked: InferRequest) -> Wish:
        everything = (asked.parameters or {}).pop(EVERYTHING, False)
        return wish_of(asked.outputs, everything, self._served.signature.outputs)

    def _chosen(self, response: Response, wish: Wish, outputs: Mapping[str, Tensor]) -> Reply:
        """The outputs asked for, the binary ones behind the JSON in the same order."""
        told, blobs = wish.split(wish.chosen(outputs))
        head = self._encode(self._told(response, told))
        if not blobs:
            return Reply(200, head)
        length = ((b"inference-header-content-length", b"%d" % len(head)),)
        return Reply(200, b"".join((head, *blobs)), BINARY, length)

    def _told(
        self, response: Response, outputs: list[Tensor] | list[Tensor | BinaryOutput] | msgspec.UnsetType
    ) -> InferAnswer:
        told: Any = parameters_of(response) if response.parameters else told_of(response)
        return InferAnswer(response.id, self._name, response.release, outputs, told)

    async def _events(
        self, response: Response, tensors: AsyncIterator[Tensor], wish: Wish | None
    ) -> AsyncGenerator[bytes, None]:
        """An `answer` event that tells where the stream comes from, then an event for each tensor, as JSON.

        A failure is the last event, for the status is out by then.
        """
        try:
            yield b"event: answer\ndata: %b\n\n" % self._encode(self._told(response, msgspec.UNSET))
            async for tensor in tensors:
                if wish is None or not wish.names or tensor.name in wish.names:
                    yield b"data: %b\n\n" % self._encode(tensor)
        except RoadworthyError as error:
            yield b"event: error\ndata: %b\n\n" % msgspec.json.encode({"error": str(error)})
        finally:
            await hang_up(tensors)

    async def _server(self, call: Call) -> Reply:
        return json_reply(
            {"name": PLATFORM, "version": roadworthy.__version__, "extensions": extensions(self._repository)}
        )

    async def _live(self, call: Call) -> Reply:
        return json_reply({"live": True})

    async def _ready(self, call: Call) -> Reply:
        ready = self._served.ready
        return json_reply({"ready": ready}, 200 if ready else 503)

    async def _version(self, call: Call) -> Reply:
        """What is below a model's name and, mostly, a version of it."""
        version, verb = self._below(call)
        takes = _TAKES.get(verb)
        if takes is None:
            raise Missing(f"no {verb!r:.100} below a model{nearest(verb[:100], _BELOW)} (known: {', '.join(_BELOW)})")
        if call.method == b"OPTIONS":
            return Reply(200, headers=((b"allow", b", ".join((*takes, b"OPTIONS"))),))
        if call.method not in takes:
            raise NotAllowed(call.path, call.method, takes)
        handler = handler_of(self._served, self._served.name, version)
        if verb == "infer":
            return await self._answer(call, handler)
        return self._model_ready() if verb == "ready" else self._metadata()

    def _model_ready(self) -> Reply:
        ready = self._served.ready
        return json_reply({"name": self._served.name, "ready": ready}, 200 if ready else 503)

    def _metadata(self) -> Reply:
        inputs, outputs = tensors_of(self._served.signature)
        return json_reply(
            {
                "name": self._served.name,
                "versions": self._served.versions,
                "platform": PLATFORM,
                "inputs": inputs,
                "outputs": outputs,
            }
        )

    def _below(self, call: Call) -> tuple[str, str]:
        """The version and the verb in `/v2/models/NAME[/versions/VERSION][/VERB]`. Raises Missing for another name."""
        name, _, rest = call.path.decode("utf-8", "replace").removeprefix("/v2/models/").partition("/")
        handler_of(self._served, name)
        if not rest.startswith("versions/"):
            return "", rest
        version, _, verb = rest.removeprefix("versions/").partition("/")
        return version, verb


def handler_of(served: Served, name: str, version: str = "") -> Handler:
    """What answers for a model, or for one version of it. Raises Missing where there is no such name or version."""
    if name != served.name:
        raise Missing(f"no model named {name!r}{nearest(name, (served.name,))} (known: {served.name})")
    return served.version(version) if version else served


def extensions(repository: Repository | None) -> list[str]:
    """The extensions of the protocol that a server has."""
    return [*EXTENSIONS, *(["model_repository"] if repository is not None else [])]


def told_of(response: Response) -> Told:
    """What an answer tells beside its outputs."""
    path, paths, usd = response.path or (), response.paths, response.usd
    return Told(response.release, response.arm, response.confidence, response.prediction_set, path, paths, usd)


def parameters_of(response: Response) -> dict[str, Any]:
    """The same with what the handlers on the way added (a cache, a fallback), as plain values."""
    return {**response.parameters, **msgspec.to_builtins(told_of(response), enc_hook=as_lists)}


def tensors_of(signature: Signature) -> tuple[list[TensorMetadata], list[TensorMetadata]]:
    """The inputs and the outputs of a model, as metadata tell them."""
    return (
        [_described(name, field) for name, field in signature.inputs.items()],
        [_described(name, field) for name, field in signature.outputs.items()],
    )


def _described(name: str, field: Field) -> TensorMetadata:
    return TensorMetadata(name, field.datatype, (-1,) if field.width == 1 else (-1, field.width))


async def hang_up(stream: AsyncIterator[Tensor]) -> None:
    """End a stream that nobody reads any more, now and not when the collector finds it."""
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()


def as_lists(array: Any) -> Any:
    """Arrays, which an engine may leave in a tensor, as JSON writes them."""
    return array.tolist()
