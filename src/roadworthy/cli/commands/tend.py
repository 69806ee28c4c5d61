"""Tend a project: seal old records, count, watch, alert, explain, ship. Every server has this beside it by itself."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING

from rich.table import Table

from roadworthy.cli.opening import open_spec, open_state, project_option, state_option
from roadworthy.cli.outcome import Outcome

if TYPE_CHECKING:
    from roadworthy.cli.tending import Done

EXAMPLE = "roadworthy tend --project examples/flights --once"
# So that answers never wait for it.
NICENESS = 10


def options(parser: argparse.ArgumentParser) -> None:
    """Once, or again and again."""
    project_option(parser)
    state_option(parser)
    parser.add_argument("--once", action="store_true", help="do what is due, then end")
    parser.add_argument("--every", type=float, default=60.0, metavar="SECONDS", help="how often to look (60)")
    parser.add_argument(
        "--for", type=int, default=0, dest="pid", metavar="PID", help="end when this parent process does"
    )


def run(args: argparse.Namespace) -> Outcome:
    """What each chore did; exit code 1 when one failed. Without --once it runs until SIGTERM or ^C."""
    from roadworthy.cli.beside import gone
    from roadworthy.cli.chores import chores_of
    from roadworthy.cli.spans import clock_of
    from roadworthy.cli.tending import Tender, tend_until, the_only_one

    spec = open_spec(args, check_files=False)
    directory = args.state or spec.state
    with (
        open_state(spec, directory) as state,
        the_only_one(directory),
        ExitStack() as opened,
    ):
        tender = Tender(state, chores_of(spec, state, opened))
        if args.once:
            return _told(tender.turn(clock_of(state)))
        os.nice(NICENESS)
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())

        def say(done: Done) -> None:
            if done.told or done.error:
                sys.stdout.write(f"{_time(done.at)} {done.chore}: {done.told or done.error}\n")
                sys.stdout.flush()

        alone = gone(args.pid) if args.pid else lambda: False
        tend_until(stop, tender, args.every, say, lambda: clock_of(state), alone)
    return Outcome({"stopped": True}, "stopped")


def _told(found: Sequence[Done]) -> Outcome:
    table = Table("chore", "seconds", "what", box=None, header_style="bold")
    for done in found:
        table.add_row(done.chore, f"{done.seconds:.2f}", done.error or done.told or "nothing to do")
    return Outcome(found, table if found else "nothing is due", 1 if any(done.error for done in found) else 0)


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"
