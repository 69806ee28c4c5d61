"""Watch a deployment in the terminal: traffic, percentiles by stage, failures and open alerts, as they happen."""

from __future__ import annotations

import argparse
import math
import time

from roadworthy.cli.opening import existing_state, open_spec, project_option, state_option
from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy watch --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """How much, how often."""
    project_option(parser)
    state_option(parser)
    parser.add_argument("--minutes", type=float, default=5.0, help="over which the percentiles are taken (5)")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="how often the screen is drawn (1)")
    parser.add_argument("--once", action="store_true", help="draw it once, then end; what --json does too")
    parser.add_argument("--at", type=float, default=None, help="look at a time in the past, Unix seconds; draws once")


def run(args: argparse.Namespace) -> Outcome:
    """What was drawn last; ^C ends it."""
    from rich.live import Live

    from roadworthy.cli.watching import Watch, drawn

    spec = open_spec(args, check_files=False)
    with existing_state(spec, args.state) as state:
        now = time.time() if args.at is None else args.at
        watch = Watch(state, spec.application.name, now, math.ceil(args.minutes))
        frame = watch.look(now, args.minutes)
        if args.once or args.json or args.at is not None:
            return Outcome(frame, drawn(frame))
        with Live(drawn(frame), screen=True, auto_refresh=False) as screen:
            while True:
                time.sleep(args.every)
                screen.update(drawn(watch.look(time.time(), args.minutes)), refresh=True)
