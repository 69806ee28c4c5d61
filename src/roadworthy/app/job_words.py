"""HTTP calls as jobs, and jobs as JSON: which headers are kept, which id a request gets, how an end is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from roadworthy.app.exchange import JSON, Call, Reply
from roadworthy.core.errors import BadRequest
from roadworthy.core.wire import Priority
from roadworthy.serve.queue import OPEN, Asked, Job, Result, Status

# What a route needs to read the body again. Credentials are not here: they would stand on the disk.
KEPT = (b"content-type", b"content-encoding", b"accept", b"inference-header-content-length")

HEADER_LENGTH = b"inference-header-content-length"
MOST_KEY = 255

_RAW = msgspec.json.Decoder(dict[str, Raw])


class _Wishes(Struct):
    priority: Any = None
    webhook: Any = None


class _Wishing(Struct):
    parameters: _Wishes | None = None


_WISHING = msgspec.json.Decoder(_Wishing)


def deferred(call: Call) -> bool:
    """Does the caller prefer to be answered later (RFC 7240)?"""
    wishes = call.headers.get(b"prefer")
    return wishes is not None and any(
        wish.partition(b";")[0].strip().lower() == b"respond-async" for wish in wishes.split(b",")
    )


def owner_of(call: Call) -> str:
    """Who asks, as a digest of their credentials; "" for everybody who has none."""
    # The same key may come as `Bearer KEY` or by itself.
    given = call.headers.get(b"authorization", b"").rpartition(b" ")[2] or call.headers.get(b"x-api-key")
    return hashlib.blake2b(given, digest_size=16).hexdigest() if given else ""


def job_of(call: Call, id: str, at: float, owner: str) -> Job:
    """The job that a call asks for. Raises BadRequest for a key, priority or webhook that is none."""
    asked = Asked(call.path, call.query, {name: call.headers[name] for name in KEPT if name in call.headers}, call.body)
    priority, webhook = _wishes(call)
    key = call.headers.get(b"idempotency-key", b"").decode("latin-1")
    if len(key) > MOST_KEY:
        raise BadRequest(f"`idempotency-key` has {len(key)} characters; allowed: {MOST_KEY}")
    return Job(id, asked, at, owner, key, _digest(asked, webhook) if key else "", priority, webhook)


def call_of(job: Job) -> Call:
    """The call that runs a job: as it came, but for its id and its priority where the caller chose none."""
    asked = job.asked
    head, tail = _parts(asked.headers, asked.body)
    head = _with(head, job)
    headers = dict(asked.headers)
    if HEADER_LENGTH in headers:
        headers[HEADER_LENGTH] = b"%d" % len(head)
    return Call(b"POST", asked.path, asked.query, headers, head + tail)


def result_of(reply: Reply) -> Result:
    """A reply as it is kept. Its stream, where it has one, has been read into the body."""
    return Result(reply.status, reply.body, reply.content_type, reply.headers)


def reply_of(result: Result) -> Reply:
    """The reply that the caller would have had at once."""
    return Reply(result.status, result.body, result.content_type, result.headers)


def told(status: Status) -> dict[str, Any]:
    """A job as JSON tells it. Times are Unix seconds."""
    words: dict[str, Any] = {
        "id": status.id,
        "state": status.state,
        "path": status.path,
        "priority": status.priority,
        "attempts": status.attempts,
        "version": status.version,
        "accepted_at": status.at,
        "started_at": status.started,
        "finished_at": status.finished,
    }
    if status.webhook:
        delivery = {"state": status.told or "waits", "attempts": status.told_attempts, "reason": status.told_reason}
        words["webhook"] = {"url": status.webhook, **delivery}
    if status.result is not None:
        words |= _outcome(status.id, status.result)
    elif status.reason:
        words["error" if status.state not in OPEN else "reason"] = status.reason
    return words


def _outcome(id: str, result: Result) -> dict[str, Any]:
    plain = result.content_type.startswith(JSON) and result.body
    if result.status >= 400:
        return {"status": result.status, "error": _sentence(result)}
    if plain:
        return {"status": result.status, "result": Raw(result.body)}
    # Bytes have no place in JSON.
    kind = result.content_type.decode("latin-1")
    return {"status": result.status, "result": {"content_type": kind, "location": f"/v2/jobs/{id}/result"}}


def _sentence(result: Result) -> str:
    try:
        return str(msgspec.json.decode(result.body)["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return result.body.decode("utf-8", "replace") or f"answered {result.status}"


def _wishes(call: Call) -> tuple[Priority, str]:
    """The priority and the webhook, which stand in the body's parameters, the webhook in a header too."""
    webhook: Any = call.headers.get(b"webhook-url", b"").decode("latin-1")
    head, _ = _parts(call.headers, call.body)
    given = None
    if b'"priority"' in head or b'"webhook"' in head:
        try:
            given = _WISHING.decode(head).parameters
        except (msgspec.DecodeError, UnicodeDecodeError):
            given = None  # the route will say what is wrong with the body
    if given is None:
        return 3, webhook
    if given.webhook is not None and not isinstance(given.webhook, str):
        raise BadRequest(f"parameter `webhook` is {given.webhook!r:.60}; allowed: a URL")
    level = given.priority
    priority = cast("Priority", level) if type(level) is int and 1 <= level <= 3 else 3
    return priority, webhook or given.webhook or ""


def _parts(headers: Mapping[bytes, bytes], body: bytes) -> tuple[bytes, bytes]:
    """The JSON of a body, and the binary tensors behind it."""
    length = headers.get(HEADER_LENGTH, b"")
    if not length.isdigit():
        return body, b""
    return body[: int(length)], body[int(length) :]


def _with(head: bytes, job: Job) -> bytes:
    """The body with the job's id where it has none, so that a second run of it is the same request to the log."""
    if b"content-encoding" in job.asked.headers:
        return head
    try:
        fields = _fields(head)
        if bytes(fields.get("id", b"null")) in (b"null", b'""'):
            fields["id"] = Raw(msgspec.json.encode(job.id))
        fields["parameters"] = _parameters(bytes(fields.get("parameters", b"null")), job)
    except (ValueError, AttributeError, RecursionError):
        return head  # the route will say what is wrong with it
    return msgspec.json.encode(fields)


def _parameters(given: bytes, job: Job) -> Raw:
    if given == b"null":
        return Raw(b'{"priority":%d}' % job.priority)
    inner = _fields(given)
    if bytes(inner.get("priority", b"0")) == b"0":  # the default, as the schedule-policy extension has it
        inner["priority"] = Raw(b"%d" % job.priority)
    inner.pop("webhook", None)
    return Raw(msgspec.json.encode(inner))


def _fields(raw: bytes) -> dict[str, Raw]:
    """The fields of a JSON object, each as it was written. Raises ValueError or AttributeError where it is none."""
    try:
        return _RAW.decode(raw)
    except msgspec.DecodeError:
        # Python's encoder writes NaN, which JSON does not know, and the routes let it through to their check.
        return {name: Raw(json.dumps(value).encode()) for name, value in json.loads(raw).items()}


def _digest(asked: Asked, webhook: str) -> str:
    """What a key stands for: the same request, told to the same webhook."""
    hashed = hashlib.blake2b(digest_size=16)
    for part in (asked.path, asked.query, *(b"%b:%b" % pair for pair in sorted(asked.headers.items()))):
        hashed.update(b"%d:%b" % (len(part), part))
    hashed.update(webhook.encode() + b"\n" + asked.body)
    return hashed.hexdigest()
