"""The error of the same meaning for the status of an answer, with the sentence of the server."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from roadworthy.core.errors import (
    BadRequest,
    Denied,
    Late,
    Missing,
    Overloaded,
    RoadworthyError,
    Taken,
    TooMany,
)

# As many words of the server as a reason holds: reasons are counted, so what differs from answer to answer is cut.
MOST_WORDS = 200


class Failed(RoadworthyError):
    """The other server failed on the request."""

    status = 502


def refusal(url: str, status: int, headers: Mapping[str, str], body: bytes) -> RoadworthyError:
    """What a caller should be told instead of an answer with this status."""
    told = f"{url} answered {status}: {said(body)}"
    if status in (429, 503):
        kind = TooMany if status == 429 else Overloaded
        return kind(told, retry_after(headers))
    if status in (401, 403):
        return Denied(f"{told}; give the token with --header 'Authorization: Bearer ...'")
    kinds: dict[int, type[RoadworthyError]] = {404: Missing, 405: Missing, 408: Late, 409: Taken, 504: Late}
    return kinds.get(status, BadRequest if 400 <= status < 500 else Failed)(told)


def said(body: bytes) -> str:
    """The sentence in the body of a refusal: `{"error": ...}`, `{"error": {"message": ...}}`, `detail`, or the text."""
    try:
        told = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return _short(body.decode("utf-8", "replace"))
    for key in ("error", "message", "detail"):
        if isinstance(told, dict) and key in told:
            told = told[key]
    return _short(told if isinstance(told, str) else msgspec.json.encode(told).decode())


def retry_after(headers: Mapping[str, str]) -> float:
    """The seconds that the server asks to wait; 1 where it does not say, or says it as a date."""
    given = headers.get("retry-after", "")
    return float(given) if given.replace(".", "", 1).isdigit() else 1.0


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MOST_WORDS else f"{text[:MOST_WORDS]}..."
