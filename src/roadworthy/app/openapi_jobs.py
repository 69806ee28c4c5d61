"""The routes of asynchronous jobs in an OpenAPI document, and the choice to be answered later in the others."""

from __future__ import annotations

from typing import Any, get_args

from roadworthy.app.openapi_schemas import EVENT
from roadworthy.serve.queue import Stage

Json = dict[str, Any]

_STATES = list(get_args(Stage))

_JOB: Json = {
    "type": "object",
    "required": ["id", "state"],
    "properties": {
        "id": {"type": "string"},
        "state": {"enum": _STATES},
        "path": {"type": "string"},
        "priority": {"type": "integer"},
        "attempts": {"type": "integer"},
        "version": {"type": "integer"},
        "status": {"type": "integer", "description": "The HTTP status of the answer."},
        "result": {"description": "The answer, once there is one."},
        "error": {"type": "string"},
    },
}
_PAGE: Json = {
    "type": "object",
    "required": ["jobs", "cursor"],
    "properties": {
        "jobs": {"type": "array", "items": _JOB},
        "cursor": {"type": ["string", "null"], "description": "`?cursor=` of the next page; null at the end."},
    },
}
_ACCEPTED: Json = {
    "type": "object",
    "required": ["id", "state", "location", "events"],
    "properties": {
        "id": {"type": "string"},
        "state": {"enum": _STATES},
        "location": {"type": "string"},
        "events": {"type": "string"},
    },
}
# Not a parameter of the schema: what is deferred is accepted unread, and found to be wrong when it runs.
_LATER = (
    "With the header `Prefer: respond-async` the answer is a job (202). An `Idempotency-Key` header then makes a "
    "repeated request the same job, and a `Webhook-URL` that the settings allow is told of its end."
)
_STATUSES = {
    "400": "A parameter is not what is allowed.",
    "401": "An API key is needed.",
    "403": "This API key may not do this.",
    "404": "There is no such job of this caller.",
    "500": "The server failed; its log says why.",
    "503": "The server is shutting down.",
}
_ERROR: Json = {"$ref": "#/components/schemas/Error"}


def job_paths() -> dict[str, Json]:
    """The paths below /v2/jobs."""
    one = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^/]+$"}}]
    wait = _query("wait", {"type": "number", "minimum": 0, "maximum": 60}, "Seconds to wait for the job's end.")
    page = [
        _query("n", {"type": "number", "minimum": 0, "maximum": 200}, "How many, rounded down; 0 means one."),
        _query("state", {"enum": _STATES}, "Only jobs in this state."),
    ]
    events = _operation("job_events", "The job's changes as server-sent events.", {"type": "string"})
    events["responses"]["200"]["content"] = {"text/event-stream": {"schema": EVENT}}
    events["responses"]["204"] = {"description": "There is nothing after `last-event-id`."}
    result = _operation("job_result", "The answer as it would have been given at once.", {}, "409", "410", "default")
    binary = {"schema": {"type": "string", "format": "binary"}}
    result["responses"]["200"]["content"] |= {
        "application/octet-stream": binary,
        "text/event-stream": {"schema": EVENT},
    }
    cancel = _operation("job_cancel", "Let a job be, if it has not ended.", _JOB, "409")
    return {
        "/v2/jobs": {"get": {**_operation("jobs", "This caller's jobs, the newest first.", _PAGE), "parameters": page}},
        "/v2/jobs/{id}": {
            "parameters": one,
            "get": {**_operation("job", "How a job stands.", _JOB), "parameters": [wait]},
            "delete": cancel,
        },
        "/v2/jobs/{id}/events": {"parameters": one, "get": events},
        "/v2/jobs/{id}/result": {"parameters": one, "get": result},
    }


def deferrable(operation: Json) -> Json:
    """A POST that may also be answered with a job."""
    accepted = {"description": "A job was made of it.", "content": {"application/json": {"schema": _ACCEPTED}}}
    accepted["headers"] = {"Location": {"schema": {"type": "string"}}}
    clash = {"description": "The idempotency key stands for another request.", **_refused()}
    responses = {**operation["responses"], "202": accepted, "422": clash}
    return {**operation, "description": _LATER, "responses": responses}


def _operation(name: str, told: str, answer: Json, *more: str) -> Json:
    responses: Json = {"200": {"description": told, "content": {"application/json": {"schema": answer}}}}
    for status in (*_STATUSES, *more):
        responses[status] = {"description": _STATUSES.get(status, "The job is not in a state for this."), **_refused()}
    return {"operationId": name, "summary": told, "responses": responses}


def _refused() -> Json:
    return {"content": {"application/json": {"schema": _ERROR}}}


def _query(name: str, schema: Json, told: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": told}
