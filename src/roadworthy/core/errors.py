"""Errors say what happened, what was given, what is allowed and what to do next.

Each class carries the HTTP status and the exit code that a door gives it, so that no door keeps a table of its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RoadworthyError(Exception):
    """Whatever Roadworthy itself refuses. Anything else that escapes is a defect of ours."""

    status = 500
    exit_code = 2
    retry_after: float | None = None  # seconds after which it is worth while to ask again


class SpecError(RoadworthyError):
    """A project file, a card or a setting that cannot be read; the message names file and line."""

    status = 400


class BadRequest(RoadworthyError):
    """A request that does not match the model's signature or the protocol."""

    status = 400


class BadData(RoadworthyError):
    """A table that is empty, truncated or does not have the columns that the model needs."""

    status = 400


class Missing(RoadworthyError, LookupError):
    """A name, id, digest or file that nobody knows."""

    status = 404


class Taken(RoadworthyError):
    """Something that can be held by one only is held by another: a directory, a rollout, an alias."""

    status = 409


class Denied(RoadworthyError):
    """Who asks is unknown, or may not ask for this."""

    status = 401


class Overloaded(RoadworthyError):
    """The server cannot take this now; the client may try again after `retry_after` seconds."""

    status = 503

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooMany(Overloaded):
    """One caller, or one class of callers, has used up its share; others are still served."""

    status = 429


class Late(Overloaded, TimeoutError):
    """The answer would come, or came, after the deadline of whoever asked."""

    status = 504


class MissingExtra(RoadworthyError, ImportError):
    """An optional dependency is not installed; the message names the extra."""

    def __init__(self, who: str, module: str, extra: str) -> None:
        super().__init__(f"{who} needs `{module}`: pip install 'roadworthy[{extra}]'")


def nearest(given: str, known: Iterable[str]) -> str:
    """`"; did you mean 'psi'?"`, or nothing where no known name is close."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def unknown(what: str, given: str, known: Iterable[str]) -> str:
    """The sentence for a name that nobody knows: the name, the nearest one, and all that are allowed."""
    names = sorted(known)
    return f"no {what} named {given!r}{nearest(given, names)} (known: {', '.join(names) or 'none'})"
