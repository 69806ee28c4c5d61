"""When an answer must be there and who goes first, as the caller says it: in parameters, or in a proxy's headers.

`timeout` (microseconds) and `priority` are the parameters of the schedule-policy extension; Envoy and gRPC say in a
header how long they will wait.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from msgspec.structs import replace

from roadworthy.core.errors import BadRequest
from roadworthy.core.wire import Priority, Request

ENVOY = b"x-envoy-expected-rq-timeout-ms"
GRPC = b"grpc-timeout"
SCHEDULING = frozenset({"timeout", "priority"})

# Nobody waits longer for one answer, and the timers of an event loop do not count much further.
MOST_SECONDS = 86_400.0

_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def is_scheduled(headers: Mapping[bytes, bytes], parameters: Mapping[str, Any] | None) -> bool:
    """Does the caller say anything that `with_schedule` reads?"""
    return ENVOY in headers or GRPC in headers or not SCHEDULING.isdisjoint(parameters or ())


def with_schedule(
    request: Request, headers: Mapping[bytes, bytes], parameters: Mapping[str, Any] | None, now: float
) -> Request:
    """The request with its caller's deadline and priority, where the caller has some; `now` is `time.monotonic()`.

    The earliest of several deadlines holds. The parameters that are understood here do not reach the model, nor a
    cache's key. Raises BadRequest where a value is not one.
    """
    parameters = parameters or {}
    given = (_timeout(parameters.get("timeout", 0)), _envoy(headers.get(ENVOY)), _grpc(headers.get(GRPC)))
    seconds = min((each for each in given if each is not None), default=None)
    return replace(
        request,
        deadline=request.deadline if seconds is None else now + min(seconds, MOST_SECONDS),
        priority=_priority(parameters.get("priority", 0)) or request.priority,
        parameters={name: v for name, v in request.parameters.items() if name not in SCHEDULING},
    )


def _timeout(microseconds: Any) -> float | None:
    microseconds = _whole(microseconds)
    if type(microseconds) is not int or microseconds < 0:
        raise BadRequest(
            f"parameter `timeout` is {microseconds!r:.60}; allowed: whole microseconds, or 0 for the server's own"
        )
    return min(microseconds, 10**15) / 1e6 if microseconds else None


def _priority(level: Any) -> Priority | None:
    level = _whole(level)
    if type(level) is not int or not 0 <= level <= 3:
        raise BadRequest(
            f"parameter `priority` is {level!r:.60}; allowed: 1 (first), 2, 3 (last), or 0 for the default"
        )
    return cast("Priority", level) if level else None


def _envoy(milliseconds: bytes | None) -> float | None:
    if milliseconds is None:
        return None
    if not re.fullmatch(rb"\d{1,12}", milliseconds):
        raise BadRequest(f"header `{ENVOY.decode()}` is {_shown(milliseconds)}; allowed: whole milliseconds")
    return int(milliseconds) / 1e3 or None  # Envoy writes 0 where there is no limit


def _grpc(timeout: bytes | None) -> float | None:
    if timeout is None:
        return None
    if not re.fullmatch(rb"\d{1,8}[HMSmun]", timeout):
        raise BadRequest(
            f"header `{GRPC.decode()}` is {_shown(timeout)}; allowed: up to 8 digits and one of H, M, S, m, u, n"
        )
    return int(timeout[:-1]) * _UNITS[timeout[-1:]]


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 5.0 is whole."""
    return int(value) if type(value) is float and value.is_integer() else value


def _shown(raw: bytes) -> str:
    return repr(raw.decode("latin-1"))[:60]
