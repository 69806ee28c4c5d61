"""The gRPC twin of the Open Inference Protocol: the same answers, errors and limits as over REST.

Needs the extra `grpc`. It runs on the event loop that serves HTTP. Unlike there, each call is a Task (grpc makes it),
so a call costs some 100 microseconds more than the same one over REST. What REST tells in `parameters` as a list or an
object (confidence, prediction_set, path) is JSON in a string here, for a parameter holds one value.
"""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import grpc
import msgspec

import roadworthy
from roadworthy.app.edge import Edge
from roadworthy.app.exchange import Call, error_reply
from roadworthy.app.grpc_messages import SERVICE, messages
from roadworthy.app.grpc_tensors import answer_of, asked_of, values_of
from roadworthy.app.infer_body import InferRequest
from roadworthy.app.limits import Admit
from roadworthy.app.openinference import PLATFORM, Served, extensions, handler_of, hang_up, parameters_of, tensors_of
from roadworthy.app.outputs import EVERYTHING, Wish, wish_of
from roadworthy.app.repository import Repository
from roadworthy.app.schedule import ENVOY, GRPC, with_schedule
from roadworthy.core.errors import BadRequest, Missing, Taken
from roadworthy.core.wire import Request, Response, Tensor

log = logging.getLogger(__name__)

# What a client is told by a code; every other status is INTERNAL.
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}

# The parameters of Triton's streams: the last response of a request says so, in an empty one where asked for.
_FINAL, _EMPTY_FINAL = "triton_final_response", "triton_enable_empty_final_response"

_ENVOY_KEY = ENVOY.decode()

# The path over REST of what a method does: who may call it is decided by that.
_PATHS = {
    "ServerLive": "/v2/health/live",
    "ServerReady": "/v2/health/ready",
    "ServerMetadata": "/v2",
    "ModelReady": "/v2/models/{name}/ready",
    "ModelMetadata": "/v2/models/{name}",
    "ModelInfer": "/v2/models/{name}/infer",
    "ModelStreamInfer": "/v2/models/{name}/infer",
    "RepositoryIndex": "/v2/repository/index",
    "RepositoryModelLoad": "/v2/repository/models/{name}/load",
    "RepositoryModelUnload": "/v2/repository/models/{name}/unload",
}

_Told = tuple[grpc.StatusCode, str, tuple[tuple[str, str], ...]]


class GrpcServer:
    """Answers for `served` after `edge` has checked; `repository` where there is one.

    `admit` sees each call as the POST over REST that it stands for, without its body. `most_bytes` bounds a message
    each way. `tls` gives the certificate chain and the key, as PEM, and is asked for each connection, so that a renewed
    one is used; without it the listener speaks plain text. `monotonic` is the clock of deadlines.
    """

    def __init__(
        self,
        served: Served,
        edge: Edge,
        repository: Repository | None = None,
        admit: Admit | None = None,
        most_bytes: int = 8 * 1024 * 1024,
        tls: Callable[[], tuple[bytes, bytes]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._served, self._edge, self._repository, self._admit = served, edge, repository, admit
        self._most_bytes, self._tls, self._monotonic = most_bytes, tls, monotonic
        self._server: Any = None

    async def listen(self, host: str, port: int) -> int:
        """Accept calls on the running loop; returns the port, which the system chooses when `port` is 0.

        Raises Taken where somebody else listens there.
        """
        self._server = grpc.aio.server(
            interceptors=() if self._admit is None else (_Doorstep(self._admit, self._served.name),),
            options=(
                ("grpc.so_reuseport", 0),  # else two servers may share a port and each get half of the calls
                ("grpc.max_receive_message_length", self._most_bytes),
                ("grpc.max_send_message_length", self._most_bytes),
            ),
        )
        self._server.add_generic_rpc_handlers((self._handlers(),))
        bound = self._bind(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        await self._server.start()
        return bound

    async def close(self, grace_seconds: float) -> None:
        """Take no new calls, and after `grace_seconds` end those that are still being answered."""
        if self._server is not None:
            await self._server.stop(grace_seconds)

    def _bind(self, address: str) -> int:
        try:
            if self._tls is None:
                return int(self._server.add_insecure_port(address))
            return int(self._server.add_secure_port(address, _credentials(self._tls)))
        except RuntimeError as wrong:
            raise Taken(f"cannot listen on {address} for gRPC: {wrong}; choose another port, or 0 for any") from wrong

    def _handlers(self) -> Any:
        plain = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ServerMetadata": self._metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        methods = {name: _unary(name, functools.partial(_without_context, act)) for name, act in plain.items()}
        methods["ModelInfer"] = _unary("ModelInfer", self._infer)
        methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
            self._stream,
            messages.ModelInferRequest.FromString,
            messages.ModelStreamInferResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _live(self, message: Any) -> Any:
        return messages.ServerLiveResponse(live=True)

    async def _ready(self, message: Any) -> Any:
        return messages.ServerReadyResponse(ready=self._served.ready)

    async def _metadata(self, message: Any) -> Any:
        return messages.ServerMetadataResponse(
            name=PLATFORM, version=roadworthy.__version__, extensions=extensions(self._repository)
        )

    async def _model_ready(self, message: Any) -> Any:
        handler_of(self._served, message.name, message.version)
        return messages.ModelReadyResponse(ready=self._served.ready)

    async def _model_metadata(self, message: Any) -> Any:
        handler_of(self._served, message.name, message.version)
        inputs, outputs = (
            [messages.ModelMetadataResponse.TensorMetadata(**msgspec.structs.asdict(each)) for each in tensors]
            for tensors in tensors_of(self._served.signature)
        )
        return messages.ModelMetadataResponse(
            name=message.name, versions=self._served.versions, platform=PLATFORM, inputs=inputs, outputs=outputs
        )

    async def _index(self, message: Any) -> Any:
        models = [
            messages.RepositoryIndexResponse.ModelIndex(**msgspec.structs.asdict(model))
            for model in self._models.index(message.ready)
        ]
        return messages.RepositoryIndexResponse(models=models)

    async def _load(self, message: Any) -> Any:
        await self._models.load(message.model_name, values_of(message.parameters))
        return messages.RepositoryModelLoadResponse()

    async def _unload(self, message: Any) -> Any:
        await self._models.unload(message.model_name)
        return messages.RepositoryModelUnloadResponse()

    @property
    def _models(self) -> Repository:
        if self._repository is None:
            raise Missing("this server has no model repository to list or change")
        return self._repository

    async def _infer(self, message: Any, context: Any) -> Any:
        response, wish = await self._respond(message, context)
        if not isinstance(response.outputs, Mapping):
            await hang_up(response.outputs)
            raise BadRequest("this model answers in a stream; allowed: ModelStreamInfer")
        return self._answer(message, response, wish.chosen(response.outputs), wish, {})

    async def _respond(self, message: Any, context: Any) -> tuple[Response, Wish]:
        handler = handler_of(self._served, message.model_name, message.model_version)
        asked = asked_of(message)
        everything = (asked.parameters or {}).pop(EVERYTHING, bool(message.raw_input_contents))
        wish = wish_of(asked.outputs, everything, self._served.signature.outputs)
        return await handler(self._request(asked, context)), wish

    def _request(self, asked: InferRequest, context: Any) -> Request:
        parameters = {name: value for name, value in (asked.parameters or {}).items() if name != _EMPTY_FINAL}
        request = self._edge.request(asked.id, asked.inputs, parameters)
        headers = {
            key.encode(): str(value).encode() for key, value in context.invocation_metadata() if key == _ENVOY_KEY
        }
        remaining = context.time_remaining()
        if remaining is not None:
            headers[GRPC] = b"%dm" % min(max(0, remaining * 1000), 99_999_999)
        return with_schedule(request, headers, parameters, self._monotonic())

    def _answer(
        self, message: Any, response: Response, tensors: Sequence[Tensor], wish: Wish, more: Mapping[str, Any]
    ) -> Any:
        raw = wish.otherwise or any(wish.binary.values())
        return answer_of(message.model_name, response, tensors, {**parameters_of(response), **more}, raw)

    async def _stream(self, asked: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """One request after the other; what fails is told in the stream, which goes on with the next."""
        async for message in asked:
            try:
                async with aclosing(self._pieces(message, context)) as pieces:
                    async for answer in pieces:
                        yield messages.ModelStreamInferResponse(infer_response=answer)
            except Exception as wrong:
                which = messages.ModelInferResponse(model_name=message.model_name, id=message.id)
                yield messages.ModelStreamInferResponse(error_message=_told(wrong)[1], infer_response=which)

    async def _pieces(self, message: Any, context: Any) -> AsyncGenerator[Any, None]:
        """The one answer of most models; an answer for each tensor of a model that streams."""
        response, wish = await self._respond(message, context)
        outputs = response.outputs
        if isinstance(outputs, Mapping):
            yield self._answer(message, response, wish.chosen(outputs), wish, {_FINAL: True})
            return
        try:
            async for tensor in outputs:
                if not wish.names or tensor.name in wish.names:
                    yield self._answer(message, response, [tensor], wish, {_FINAL: False})
        finally:
            await hang_up(outputs)
        if values_of(message.parameters).get(_EMPTY_FINAL):
            yield self._answer(message, response, [], wish, {_FINAL: True})


class _Doorstep(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Where a call is admitted or refused before its message is taken apart."""

    def __init__(self, admit: Admit, name: str) -> None:
        self._admit, self._name = admit, name

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        method = details.method.rpartition("/")[2]
        path = _PATHS.get(method, details.method).format(name=self._name)
        headers = {key.encode(): str(value).encode() for key, value in details.invocation_metadata}
        try:
            self._admit(Call(b"POST", path.encode(), b"", headers, b""))
        except Exception as wrong:
            return _refusing(method, _told(wrong))
        return await continuation(details)


def _credentials(tls: Callable[[], tuple[bytes, bytes]]) -> Any:
    def read() -> Any:
        certificate, key = tls()
        return grpc.ssl_server_certificate_configuration([(key, certificate)])

    def read_again() -> Any:
        try:
            return read()
        except OSError as wrong:
            log.warning("the certificate cannot be read again and the old one stays in use: %s", wrong)
            return None

    return grpc.dynamic_ssl_server_credentials(read(), read_again, require_client_authentication=False)


def _refusing(method: str, told: _Told) -> Any:
    async def refused(message: Any, context: Any) -> None:
        await context.abort(*told)

    kind = (
        grpc.stream_stream_rpc_method_handler
        if method.startswith("ModelStream")
        else grpc.unary_unary_rpc_method_handler
    )
    return kind(refused)


def _unary(name: str, answer: Callable[[Any, Any], Awaitable[Any]]) -> Any:
    """A call with one answer, or the code that says why there is none."""

    async def answered(message: Any, context: Any) -> Any:
        try:
            return await answer(message, context)
        except Exception as wrong:
            await context.abort(*_told(wrong))

    asks, tells = getattr(messages, f"{name}Request"), getattr(messages, f"{name}Response")
    return grpc.unary_unary_rpc_method_handler(answered, asks.FromString, tells.SerializeToString)


async def _without_context(act: Callable[[Any], Awaitable[Any]], message: Any, context: Any) -> Any:
    return await act(message)


def _told(wrong: Exception) -> _Told:
    """The same words as over REST, the code of its status, and when it is worth while to ask again."""
    reply = error_reply(wrong)
    after = getattr(wrong, "retry_after", None)
    wait = () if after is None else (("grpc-retry-pushback-ms", str(max(1, round(after * 1000)))),)
    return _CODES.get(reply.status, grpc.StatusCode.INTERNAL), json.loads(reply.body)["error"], wait
