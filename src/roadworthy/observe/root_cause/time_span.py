"""Reads the times that a person types, such as `03:00` or `2026-11-05 03:00 Europe/Zurich`, as Unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from roadworthy.core.errors import BadRequest

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
ALLOWED = (
    "`03:00`, `yesterday 03:00`, `monday 03:00`, `2026-11-05 03:00`, `2026-11-05T03:00+01:00`, `2h ago`, `now`,"
    " each with a time zone behind it if you like (`03:00 UTC`, `03:00 Europe/Zurich`)"
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_AGO = re.compile(r"-?(\d+(?:\.\d+)?)\s*([smhdw])(?:\s*ago)?")


class Span(NamedTuple):
    """From `since` until `until`, Unix seconds."""

    since: float
    until: float


class _Typed(NamedTuple):
    """A moment; `floats` where only a time of day was said, so that its day is open."""

    at: datetime
    floats: bool


def span(begin: str, end: str, now: float, zone: tzinfo = UTC) -> Span:
    """The stretch that two typed times mean; an `end` of "" is now. Raises BadRequest, naming what is allowed.

    A time without a day is the last one that has been: `03:00` at 14:00 is today's, at 02:00 yesterday's. The end is
    the first such time after the beginning, so that 23:50 to 00:10 is twenty minutes.

    >>> at_two = datetime(2026, 11, 5, 14, 0, tzinfo=UTC).timestamp()
    >>> span("03:00", "03:20", at_two).until - span("03:00", "03:20", at_two).since
    1200.0
    """
    first = _typed(begin, now, zone)
    since = first.at
    while first.floats and since.timestamp() > now:
        since -= timedelta(days=1)
    if not end:
        until = datetime.fromtimestamp(now, zone)
    else:
        last = _typed(end, now, zone)
        until = last.at
        if last.floats:
            day = since.astimezone(until.tzinfo).date()
            until = until.replace(year=day.year, month=day.month, day=day.day)
            until += timedelta(days=until <= since)
    return _checked(begin, end, since.timestamp(), until.timestamp(), now)


def _checked(begin: str, end: str, since: float, until: float, now: float) -> Span:
    if since > now:
        raise BadRequest(f"{begin!r} is in the future; nothing has been recorded there yet")
    if not until > since:
        raise BadRequest(f"the end {end or 'now'!r} is not after the beginning {begin!r}; swap them, or name the days")
    return Span(since, min(until, now))


def _typed(text: str, now: float, zone: tzinfo) -> _Typed:
    said, zone = _zoned(text.strip(), zone)
    here = datetime.fromtimestamp(now, zone)
    lower = said.lower()
    if lower == "now":
        return _Typed(here, False)
    ago = _AGO.fullmatch(lower)
    if ago:
        return _Typed(here - timedelta(seconds=float(ago[1]) * UNITS[ago[2]]), False)
    if _TIME.fullmatch(lower):
        return _Typed(datetime.combine(here.date(), _time(lower, text), zone), True)
    day, _, rest = lower.partition(" ")
    named = _named_day(day, here.date())
    if named is not None:
        return _Typed(datetime.combine(named, _time(rest or "00:00", text), zone), False)
    return _Typed(_dated(said, text, zone), False)


def _zoned(text: str, zone: tzinfo) -> tuple[str, tzinfo]:
    """The text without the name of a zone at its end, and the zone."""
    rest, _, last = text.rpartition(" ")
    if not rest or not last[0].isalpha() or last.lower() == "ago":
        return text, zone
    return rest, zone_named(last)


def zone_named(name: str) -> tzinfo:
    """The time zone of a name. Raises BadRequest where there is none."""
    try:
        return UTC if name.upper() in ("UTC", "Z", "GMT") else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadRequest(f"no time zone named {name!r}; allowed: UTC, or a name as Europe/Zurich") from None


def _named_day(word: str, today: date) -> date | None:
    if word in ("today", "yesterday"):
        return today - timedelta(days=word == "yesterday")
    if word in _DAYS:
        return today - timedelta(days=(today.weekday() - _DAYS.index(word)) % 7)
    return None


def _time(text: str, whole: str) -> time:
    found = _TIME.fullmatch(text)
    try:
        if found:
            return time(int(found[1]), int(found[2]), int(found[3] or 0))
    except ValueError:
        pass
    raise BadRequest(f"{whole!r} is no time; allowed: {ALLOWED}")


def _dated(said: str, whole: str, zone: tzinfo) -> datetime:
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        raise BadRequest(f"{whole!r} is no time; allowed: {ALLOWED}") from None
    return at if at.tzinfo else at.replace(tzinfo=zone)
