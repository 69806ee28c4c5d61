"""Freeze windows: the hours of the week, and the days of the year, in which no candidate gets more traffic."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from roadworthy.core.errors import SpecError

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONDAY = date(1900, 1, 1)
WEEK = timedelta(days=7)

_FORMS = "`fri 16:00 - mon 08:00`, `sat - sun`, `2026-12-20 - 2027-01-03` or `2026-12-24`"
_END = r"(?:(?P<day>[a-z]+)|(?P<date>\d{4}-\d{1,2}-\d{1,2}))(?:\s+(?P<time>\d{1,2}:\d{2}))?"


class Freeze(Struct, frozen=True):
    """From `start` to `end` on the clock of `zone`; a `weekly` one counts from a Monday and comes back every week."""

    text: str
    zone: str
    start: datetime
    end: datetime
    weekly: bool

    def holds(self, at: float) -> bool:
        """Whether `at` (Unix seconds) lies in it. What the clocks of the zone show decides, in summer and winter."""
        local = datetime.fromtimestamp(at, ZoneInfo(self.zone)).replace(tzinfo=None)
        if not self.weekly:
            return self.start <= local < self.end
        into = timedelta(days=local.weekday()) + (local - datetime.combine(local.date(), time()))
        week = datetime.combine(MONDAY, time()) + into
        # A window over the weekend ends in the next week.
        return self.start <= week < self.end or self.start <= week + WEEK < self.end


def read_freezes(texts: Sequence[str], zone: str) -> tuple[Freeze, ...]:
    """The windows in a project file. Raises SpecError, naming what cannot be read and what can."""
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise SpecError(
            f"no time zone named {zone!r} for `freeze`: write one as `Europe/Berlin` or `UTC`"
            " (a machine without time zones needs `pip install tzdata`)"
        ) from None
    return tuple(_read(text, zone) for text in texts)


def frozen(texts: Sequence[str], zone: str, at: float) -> str:
    """The window that holds at `at`, in words; "" where none does."""
    held = next((freeze for freeze in read_freezes(texts, zone) if freeze.holds(at)), None)
    return "" if held is None else f"frozen in {held.text!r} ({held.zone})"


def _read(text: str, zone: str) -> Freeze:
    first, dash, last = (part.strip().lower() for part in _split(text))
    start, weekly = _end(first, text, False)
    end, weekly_too = _end(last if dash else first.split(" ")[0], text, True)
    if weekly != weekly_too:
        raise SpecError(f"freeze {text!r} mixes a day of the week and a date: write {_FORMS}")
    if not dash and " " in first:
        raise SpecError(f"freeze {text!r} has a beginning and no end: write {_FORMS}")
    if weekly and end <= start:
        end += WEEK
    if end <= start or (weekly and end - start >= WEEK):
        raise SpecError(f"freeze {text!r} ends where it begins, or before: write {_FORMS}")
    return Freeze(text, zone, start, end, weekly)


def _split(text: str) -> tuple[str, str, str]:
    """The two ends; the dash between them stands alone, as dates have dashes too."""
    found = re.split(r"\s+(-|–|to)\s+", text.strip(), maxsplit=1)
    return (found[0], found[1], found[2]) if len(found) == 3 else (found[0], "", "")


def _end(text: str, whole: str, last: bool) -> tuple[datetime, bool]:
    """One end of a window; a day without a time is all of that day."""
    found = re.fullmatch(_END, text)
    named = [k for k, day in enumerate(DAYS) if found and found["day"] in (day, day[:3])]
    if found is None or (found["day"] and not named):
        raise SpecError(f"freeze {whole!r} cannot be read at {text!r}: write {_FORMS}")
    try:
        day = MONDAY + timedelta(days=named[0]) if named else _date(found["date"])
        clock = timedelta(days=1) if last and not found["time"] else _clock(found["time"] or "0:00")
    except ValueError as wrong:
        raise SpecError(f"freeze {whole!r}: {wrong}; write {_FORMS}") from None
    return datetime.combine(day, time()) + clock, bool(found["day"])


def _date(text: str) -> date:
    year, month, day = map(int, text.split("-"))
    return date(year, month, day)


def _clock(text: str) -> timedelta:
    hour, minute = map(int, text.split(":"))
    if hour > 24 or minute > 59 or (hour == 24 and minute):
        raise ValueError(f"there is no time {text!r}")
    return timedelta(hours=hour, minutes=minute)
