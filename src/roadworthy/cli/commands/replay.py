"""Send the production rows to a running server in the order of time, with their outcomes as they became known."""

from __future__ import annotations

import argparse
import asyncio

from roadworthy.cli.opening import existing_state, open_spec, project_option
from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy replay --project examples/flights --days 7"


def options(parser: argparse.ArgumentParser) -> None:
    """Which stretch, and how many requests in flight."""
    project_option(parser)
    parser.add_argument("--from-day", type=float, default=0.0, help="begin this many days into the table (0)")
    parser.add_argument("--days", type=float, default=1e9, help="how many days to send (all)")
    parser.add_argument("--in-flight", type=int, default=64, help="requests in flight at once (64)")
    parser.add_argument("--patience", type=float, default=10.0, help="seconds to wait for a server that went away (10)")


def run(args: argparse.Namespace) -> Outcome:
    """How many were answered and how many failed, with the reasons; exit code 1 when some failed."""
    from roadworthy.cli.replaying import replay
    from roadworthy.cli.services import OverHttp, Server

    spec = open_spec(args)
    service = OverHttp(Server(spec))
    with existing_state(spec) as state:
        tally = asyncio.run(replay(spec, state, service, args.from_day, args.days, args.in_flight, args.patience))
    shown = f"{tally.answered} answered, {tally.failed} failed, {tally.labelled} outcomes told"
    shown += "".join(f"\n  {n} times {reason}" for reason, n in tally.reasons.items())
    return Outcome(tally, shown, 1 if tally.failed else 0)
