"""GET /openapi.json: the public routes as an OpenAPI 3.1 document, with the model's own inputs, outputs and examples.

A schema says what the server takes, no more and no less. JSON Schema cannot say that every input has the same number
of rows, so requests are described with one row, and the description says what changes with more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

import roadworthy
from roadworthy.app.exchange import Call, Reply
from roadworthy.app.openapi_jobs import deferrable, job_paths
from roadworthy.app.openapi_schemas import (
    ERROR,
    EVENT,
    INDEX,
    LIVE,
    READY,
    SERVER,
    infer_answer,
    infer_request,
    model_metadata,
    predict_answer,
    predict_request,
    repository_change,
)
from roadworthy.app.openinference import Served
from roadworthy.app.repository import Repository
from roadworthy.app.routes import Routes

Json = dict[str, Any]

# Two ways to send the same key.
_KEYS: Json = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}

# What may befall any request, and what else may befall one that the model answers.
_ANY = {
    400: "The request is not HTTP/1.1, or its body or a value in it is not what is allowed; `error` says which.",
    408: "The request took too long to come in.",
    413: "The body is too large.",
    414: "The path is too long.",
    431: "The headers are too large.",
    500: "The server or the model failed; the server's log says why.",
    503: "There is no model loaded, the queue is full, or the server is shutting down; see `retry-after`.",
}
_ASKED = {
    415: "The body is compressed, which is not understood here.",
    429: "This caller, or this class of requests, has used up its share; see `retry-after`.",
    504: "The answer would come after the deadline.",
}
_LOCKED = {
    401: "An API key is needed, or the one that was sent is unknown, expired or revoked.",
    403: "This API key may not do this.",
}
_MISSING = {404: "There is no such model or version."}
_CHANGED = {
    403: "The server's settings do not let clients load and unload models, or this API key may not.",
    404: "There is no such model.",
    409: "Somebody else is changing this model.",
}


class OpenApi:
    """The route. `more` are the paths of doors that are not described here, as OpenAPI has them."""

    def __init__(
        self,
        served: Served,
        repository: Repository | None = None,
        jobs: bool = False,
        more: Mapping[str, Json] | None = None,
    ) -> None:
        self._body = msgspec.json.encode(document(served, repository is not None, jobs, more))

    def add_to(self, routes: Routes) -> None:
        """GET /openapi.json."""
        routes.add("GET", "/openapi.json", self.answer)

    async def answer(self, call: Call) -> Reply:
        """The document, made once."""
        return Reply(200, self._body)


def document(
    served: Served, repository: bool = False, jobs: bool = False, more: Mapping[str, Json] | None = None
) -> Json:
    """The document as plain values; `repository` and `jobs` say whether these routes are there."""
    answering = {**_model(served), **_plain(served)}
    if jobs:
        answering = {path: _or_later(item) for path, item in answering.items()} | job_paths()
    paths = {**_health(), **answering, **(_repository() if repository else {}), **(more or {})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": served.name,
            "version": roadworthy.__version__,
            "description": "The Open Inference Protocol V2 with its binary-data, parameters, schedule-policy and "
            "model-repository extensions, and a route for rows of plain JSON.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(served, repository), "securitySchemes": _KEYS},
        # Nothing is needed until the first key is made.
        "security": [{}, *({name: []} for name in _KEYS)],
    }


def _schemas(served: Served, repository: bool) -> Json:
    signature = served.signature
    schemas = {
        "Error": ERROR,
        "Live": LIVE,
        "Ready": READY,
        "Server": SERVER,
        "Model": model_metadata(),
        "InferRequest": infer_request(signature),
        "InferAnswer": infer_answer(signature),
        "PredictRequest": predict_request(signature),
        "PredictAnswer": predict_answer(signature),
    }
    return {**schemas, "Index": INDEX} if repository else schemas


def _health() -> Json:
    return {
        "/openapi.json": {"get": _operation("openapi", "This document.", {"type": "object"})},
        "/v2": {"get": _operation("server", "The server and its extensions.", _ref("Server"))},
        "/v2/health/live": {"get": _open(_operation("live", "Is there a server at all?", _ref("Live")))},
        "/v2/health/ready": {"get": _open(_asked_ready("ready", "May requests be sent here?", {}))},
    }


def _model(served: Served) -> Json:
    base = f"/v2/models/{served.name}"
    version = [
        {
            "name": "version",
            "in": "path",
            "required": True,
            "description": "The digest of a release that answers, or at least its first 6 digits.",
            "schema": {"type": "string", "minLength": 1, "pattern": "^[^/]+$"},
        }
    ]
    paths = {}
    for path, end, more in ((base, "", {}), (f"{base}/versions/{{version}}", "_version", {"parameters": version})):
        missing = _MISSING if more else {}
        metadata = _operation(f"model{end}", "The model's inputs and outputs.", _ref("Model"), missing)
        paths[path] = {**more, "get": metadata}
        paths[f"{path}/ready"] = {**more, "get": _asked_ready(f"model_ready{end}", "Does the model answer?", missing)}
        paths[f"{path}/infer"] = {**more, "post": _infer(f"infer{end}", missing)}
    return paths


def _infer(name: str, missing: Mapping[int, str]) -> Json:
    operation = _operation(
        name,
        "Answer rows of named tensors.",
        _ref("InferAnswer"),
        {**_ASKED, **missing},
        _ref("InferRequest"),
    )
    answered = operation["responses"]["200"]
    answered["headers"] = {
        "Inference-Header-Content-Length": {
            "description": "There where outputs are answered as bytes: how much of the body is JSON.",
            "schema": {"type": "integer"},
        }
    }
    answered["content"]["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    answered["content"]["text/event-stream"] = {"schema": EVENT}
    return operation


def _plain(served: Served) -> Json:
    told = "Answer rows of plain JSON."
    return {"/predict": {"post": _operation("predict", told, _ref("PredictAnswer"), _ASKED, _ref("PredictRequest"))}}


def _repository() -> Json:
    model = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^/]+$"}}
    wanted = {"type": "object", "properties": {"ready": {"type": "boolean", "default": False}}}
    told = "The models there are, loaded or not."
    changed = {"type": "object"}
    change = repository_change()
    return {
        "/v2/repository/index": {"post": _operation("index", told, _ref("Index"), {}, wanted, required=False)},
        **{
            f"/v2/repository/models/{{model}}/{verb}": {
                "parameters": [model],
                "post": _operation(verb, f"{verb.capitalize()} a model.", changed, _CHANGED, change, required=False),
            }
            for verb in ("load", "unload")
        },
    }


def _asked_ready(name: str, told: str, more: Mapping[int, str]) -> Json:
    operation = _operation(name, told, _ref("Ready"), more)
    no = {"anyOf": [_ref("Ready"), _ref("Error")]}
    operation["responses"]["503"] = _response("Not now.", no)
    return operation


def _operation(
    name: str,
    told: str,
    answer: Json,
    more: Mapping[int, str] | None = None,
    body: Json | None = None,
    required: bool = True,
) -> Json:
    statuses = sorted({**_ANY, **_LOCKED, **(more or {})}.items())
    responses = {"200": _response("The answer.", answer)}
    responses.update({str(status): _refusal(status, why) for status, why in statuses})
    operation: Json = {"operationId": name, "summary": told, "responses": responses}
    if body is not None:
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": body}}}
    return operation


def _or_later(item: Json) -> Json:
    return {method: deferrable(each) if method == "post" else each for method, each in item.items()}


def _open(operation: Json) -> Json:
    """The same for whoever has no key."""
    for status in _LOCKED:
        del operation["responses"][str(status)]
    return {**operation, "security": []}


def _refusal(status: int, why: str) -> Json:
    refusal = _response(why, _ref("Error"))
    if status in (429, 503, 504):
        told = "Seconds after which it is worth while to ask again."
        refusal["headers"] = {"Retry-After": {"description": told, "schema": {"type": "integer"}}}
    return refusal


def _response(told: str, schema: Json) -> Json:
    return {"description": told, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
