"""The laws of sinks: they say when nobody heard, do not wait for ever, and show no secret.

Each check raises AssertionError with a sentence. A sink has `@classmethod example(cls, host, port, secret)`: one that
tells a receiver on this port, takes its secret from the variable `secret` of the environment, and gives up within a
second.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

from roadworthy.observe.alert import Alert, CauseTable, Status
from roadworthy.observe.base import Sink

SECRET_NAME, SECRET = "ROADWORTHY_LAW_SECRET", "law-secret-5b1d"
LONGEST_SECONDS = 20.0


def check_sink(leaf: type) -> None:
    """All of the laws."""
    make: Callable[[str, int, str], Sink] | None = getattr(leaf, "example", None)
    assert make is not None, f"{leaf.__name__} needs `@classmethod def example(cls, host, port, secret)` for the laws"
    before = os.environ.get(SECRET_NAME)
    os.environ[SECRET_NAME] = SECRET
    try:
        check_says_whom_it_tells(make("127.0.0.1", 9, SECRET_NAME))
        check_shows_no_secret(make("127.0.0.1", 9, SECRET_NAME))
        check_nobody_answers(make)
        check_a_receiver_that_hangs(make)
    finally:
        del os.environ[SECRET_NAME]
        os.environ.update({} if before is None else {SECRET_NAME: before})


def check_says_whom_it_tells(made: Sink) -> None:
    """`severities` and `deployments` are settings, by which alerts are routed."""
    for setting in ("severities", "deployments"):
        given = getattr(made, setting, None)
        assert isinstance(given, tuple), f"{made!r} needs the setting `{setting}`, a tuple of names, has {given!r}"


def check_shows_no_secret(made: Sink) -> None:
    """What stands in the environment is in no repr, and so in no event and no log."""
    assert SECRET not in repr(made), f"the repr of {type(made).__name__} shows its secret: keep `env:NAME` as the field"


def check_nobody_answers(make: Callable[[str, int, str], Sink]) -> None:
    """Where nobody listens it raises OSError, at any stage of an alarm."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    statuses: tuple[Status, ...] = ("raised", "again", "acknowledged", "resolved")
    for status in statuses:
        _must_fail(make("127.0.0.1", port, SECRET_NAME), status, "nobody listens")


def check_a_receiver_that_hangs(make: Callable[[str, int, str], Sink]) -> None:
    """A receiver that takes the connection and says nothing is given up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        begun = time.monotonic()
        _must_fail(make("127.0.0.1", server.getsockname()[1], SECRET_NAME), "raised", "the receiver hangs")
        waited = time.monotonic() - begun
    assert waited < LONGEST_SECONDS, f"a sink waited {waited:.0f} s for a receiver that hangs; set a timeout"


def alert(status: Status = "raised", at: float = 1_700_000_000.0) -> Alert:
    """An alert with everything in it that one may have, characters that need care included."""
    cause = CauseTable("tenant=<acme> & co is slow", ("slice", "share"), (("tenant=<acme>", "81 %"), ("rest", "19 %")))
    return Alert(
        "flights",
        "slo-availability",
        status,
        at,
        "availability: 5 % failed –\r\nBcc: all@example.org",
        at - 3600,
        at,
        first_at=at - 60,
        told_at=at,
        release="5b" * 32,
        severity="page",
        where="tenant=acme",
        cause=cause,
        runbook="https://runbooks.example.org/slo-availability",
        also=("flights/seasonal-errors",),
    )


def _must_fail(made: Sink, status: Status, what: str) -> None:
    try:
        made(alert(status))
    except OSError:
        return
    except Exception as wrong:
        raise AssertionError(f"{made!r} raises {wrong!r} where {what}; it must raise OSError") from wrong
    raise AssertionError(f"{made!r} tells nobody and says nothing of it, where {what}: it must raise OSError")
