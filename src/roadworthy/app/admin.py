"""The second listener, for the operator: what is going on, do what the store says now, what became of predictions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roadworthy.app.deployment import Deployment, status_json
from roadworthy.app.edge import read_body
from roadworthy.app.exchange import Refused, error_reply
from roadworthy.core.errors import BadRequest, Missing, RoadworthyError, nearest
from roadworthy.core.record import Label


class _Said(Label, frozen=True):
    """A label as it is sent: `by` is another name of its `source`, as in tables and on the command line."""

    by: str = ""


_LABELS = msgspec.json.Decoder(list[_Said])


class Admin:
    """GET /status and /metrics; POST /sync, /labels, /load and /unload. `app` is the ASGI application."""

    def __init__(self, deployment: Deployment, metrics: CollectorRegistry) -> None:
        self._deployment, self._metrics = deployment, metrics
        routes = [
            Route("/status", self.status),
            Route("/metrics", self.metrics),
            Route("/sync", _from_no_page(self.sync), methods=["POST"]),
            Route("/labels", _from_no_page(self.label), methods=["POST"]),
            Route("/load", _from_no_page(self.load), methods=["POST"]),
            Route("/unload", _from_no_page(self.unload), methods=["POST"]),
        ]
        self._paths = [route.path for route in routes]
        told: dict[Any, Any] = {HTTPException: self._unrouted, RoadworthyError: _refuse, Exception: _refuse}
        self.app = Starlette(routes=routes, exception_handlers=told)

    async def status(self, request: Request) -> Response:
        """What the deployment does, and how many records there are."""
        counts = await asyncio.to_thread(self._deployment.state.records.counts)
        return _json(status_json(self._deployment.status(), counts))

    async def metrics(self, request: Request) -> Response:
        """Everything that is counted, as Prometheus reads it."""
        return Response(generate_latest(self._metrics), media_type=CONTENT_TYPE_LATEST)

    async def sync(self, request: Request) -> Response:
        """Apply the store's traffic now and let the shadow finish; answers when that is done."""
        await self._deployment.sync(again=True)
        await self._deployment.drain()
        return _json(self._deployment.status())

    async def label(self, request: Request) -> Response:
        """Join labels to their records; those of unknown ids are kept aside and told."""
        labels = [_with_source(said) for said in read_body(_LABELS, await request.body())]
        return _json(await asyncio.to_thread(self._deployment.state.records.write_labels, labels))

    async def load(self, request: Request) -> Response:
        """Load the models, after an unload or while they rest."""
        await self._deployment.load()
        return _json(self._deployment.status())

    async def unload(self, request: Request) -> Response:
        """Let the models go; nobody is answered until they are loaded again."""
        await self._deployment.unload()
        return _json(self._deployment.status())

    async def _unrouted(self, request: Request, wrong: Exception) -> Response:
        path, status = request.url.path, wrong.status_code if isinstance(wrong, HTTPException) else 500
        if status == 405:
            return await _refuse(request, Refused(405, f"{path!r} does not take {request.method}"))
        return await _refuse(request, Missing(f"no path {path!r} here{nearest(path, self._paths)}"))


def _with_source(said: _Said) -> Label:
    if said.by and said.source and said.by != said.source:
        told = f"`by` {said.by!r} and `source` {said.source!r} of the label of {said.id!r} name two"
        raise BadRequest(f"{told}; they mean the same: send one of them")
    return Label(said.id, said.value, said.at, said.source or said.by)


def _from_no_page(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    # Loopback keeps other machines out, but any web page that the operator has open could post here.
    async def see(request: Request) -> Response:
        if "origin" in request.headers:
            raise Refused(403, "the admin listener takes nothing from web pages; call it from the command line")
        return await answer(request)

    return see


async def _refuse(request: Request, wrong: Exception) -> Response:
    reply = error_reply(wrong)
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, headers, reply.content_type.decode())


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
