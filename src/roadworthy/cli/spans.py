"""Which stretch of records a command looks at: the last days of them, or from one typed time to another."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, NamedTuple

from roadworthy.cli.flows import DAY

if TYPE_CHECKING:
    from roadworthy.core.record import Record
    from roadworthy.store.records import RecordLog
    from roadworthy.store.state import State


class Stretch(NamedTuple):
    """Records with `since` <= at < `until`, looked at as of `now` (Unix seconds all)."""

    since: float
    until: float
    now: float


def stretch_options(parser: argparse.ArgumentParser, days: float) -> None:
    """`--days`, `--from`, `--to` and the time zone that those are in."""
    parser.add_argument("--days", type=float, default=days, help=f"how many of the last days ({days:g})")
    parser.add_argument(
        "--from", dest="begin", default="", metavar="TIME", help="`03:00`, `2h ago`, a date with a time"
    )
    parser.add_argument("--to", dest="end", default="", metavar="TIME", help="the end (now)")
    zone_option(parser)


def zone_option(parser: argparse.ArgumentParser) -> None:
    """The time zone of typed and printed times."""
    parser.add_argument("--zone", default="UTC", help="time zone of the times (UTC), as Europe/Zurich")


def stretch_of(args: argparse.Namespace, state: State) -> Stretch:
    """The stretch that the options name, on the clock of the records. Raises BadRequest."""
    from roadworthy.observe.root_cause.time_span import span, zone_named

    now = clock_of(state)
    if args.begin:
        found = span(args.begin, args.end, now, zone_named(args.zone))
        return Stretch(found.since, found.until, now)
    until = span(args.end, "", now, zone_named(args.zone)).since if args.end else now
    return Stretch(until - args.days * DAY, until, now)


def last_rows(records: RecordLog, most: int, release: str | None = None) -> list[Record]:
    """The last `most` records of a release (None: any), read out of as short a stretch of the log as holds so many."""
    newest, wanted = records.newest(), min(most, records.count(release=release))
    if newest is None or not wanted:
        return []
    seconds = 60.0
    while records.count(since=newest - seconds, release=release) < wanted:
        seconds *= 4
    return records.read(since=newest - seconds, release=release)[-wanted:]


def clock_of(state: State) -> float:
    """Now; where the records are of another time (a replay), the moment after the newest of them."""
    newest = state.records.newest()
    now = time.time()
    return now if newest is None or now - newest < DAY else newest + 1.0
