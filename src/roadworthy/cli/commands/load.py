"""Load a server with requests by a schedule, and measure what its users would wait: plain, V2 or OpenAI-compatible."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import BadRequest
from roadworthy.core.measure import EXIT_CODES

if TYPE_CHECKING:
    from roadworthy.cli.loading import Plan
    from roadworthy.evaluate.base import Arrivals

EXAMPLE = "roadworthy load http://127.0.0.1:8080/predict --body row.json --rate 200 --slo 'p99_ms<=50'"
SCENARIOS = ("server", "single_stream", "multi_stream", "offline")


def options(parser: argparse.ArgumentParser) -> None:
    """Whom to ask, what, how often, and what is good enough."""
    parser.add_argument("url", metavar="URL", help="the server, or the whole path of a route")
    parser.add_argument("--api", choices=("plain", "v2", "openai"), default=None, help="its protocol (found out)")
    parser.add_argument("--model", default="", help="which of its models (the first, or only one)")
    parser.add_argument("--no-stream", action="store_true", help="ask an OpenAI-compatible server for whole answers")
    parser.add_argument(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="a header of each request"
    )
    parser.add_argument("--body", type=Path, default=None, metavar="FILE", help="JSON, or JSON lines, to send as it is")
    parser.add_argument("--data", type=Path, default=None, metavar="TABLE", help="rows to send (.parquet, .csv)")
    parser.add_argument("--columns", default="", metavar="A,B", help="columns of TABLE to send (all)")
    parser.add_argument("--rate", type=float, default=None, help="requests a second (half of what 16 callers get)")
    parser.add_argument("--arrivals", default=None, metavar="PLAN", help="poisson, constant, gamma:cv=3, ... (poisson)")
    parser.add_argument("--trace", default=None, metavar="FILE", help="replay a trace; at its own rate without --rate")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to send, or to send at each rate (10)")
    parser.add_argument("--concurrency", type=int, default=0, metavar="N", help="N callers in turn: a closed loop")
    parser.add_argument("--scenario", choices=SCENARIOS, default="server", help="as MLPerf LoadGen defines it (server)")
    parser.add_argument(
        "--requests", type=int, default=1000, metavar="N", help="how many `offline` asks at once (1000)"
    )
    parser.add_argument("--slo", action="append", default=[], metavar="BOUND", help="'p99_ms<=200'; may be repeated")
    parser.add_argument("--find", action="store_true", help="look for the largest rate that keeps the SLOs")
    parser.add_argument("--repeats", type=int, default=3, help="how often to look for it (3)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for one answer (60)")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> Outcome:
    """Exit code 0 when every SLO is kept, 1 when one is broken, 3 when the run is invalid or more data is needed.

    Without --concurrency and --scenario requests go out by a schedule, whether or not earlier ones were answered.
    """
    from roadworthy.app.http import open_many_files
    from roadworthy.cli.load_telling import told
    from roadworthy.cli.loading import loaded

    plan = _plan(args)
    open_many_files()
    with _progress(args.json) as tell:
        found = asyncio.run(loaded(plan, tell))
    return Outcome(found, told(found), EXIT_CODES[found.decision])


def _plan(args: argparse.Namespace) -> Plan:
    from roadworthy.app.endpoints.detect import Told
    from roadworthy.cli.loading import Plan, requirement

    _check(args)
    columns = tuple(name.strip() for name in args.columns.split(",") if name.strip())
    return Plan(
        Told(args.url, args.api, args.model, not args.no_stream),
        args.body,
        args.data,
        columns,
        _arrivals(args),
        args.rate,
        args.seconds,
        args.concurrency,
        args.scenario,
        args.requests,
        tuple(requirement(text) for text in args.slo),
        args.find,
        args.repeats,
        args.seed,
        args.timeout,
        dict(_header(text) for text in args.header),
    )


def _check(args: argparse.Namespace) -> None:
    """Raise BadRequest for options that make no sense, alone or together."""
    for name in ("rate", "seconds", "timeout", "repeats", "requests"):
        given = getattr(args, name)
        if given is not None and not given > 0:
            raise BadRequest(f"--{name} must be above 0, got {given!r}")
    if args.concurrency < 0:
        raise BadRequest(f"--concurrency must be 0 or more, got {args.concurrency!r}")
    closed = args.concurrency or args.scenario != "server"
    if closed and (args.find or args.rate or args.arrivals or args.trace):
        raise BadRequest("--concurrency and --scenario have no schedule: leave out --rate, --arrivals, --trace, --find")
    if args.concurrency and args.scenario != "server":
        raise BadRequest("--concurrency and --scenario are two ways to ask; give one of them")
    if args.arrivals and args.trace:
        raise BadRequest("--arrivals and --trace both say when to send; give one of them")
    if args.find and not args.slo:
        raise BadRequest("--find needs to know what is good enough: give an SLO, such as --slo 'p99_ms<=200'")


def _arrivals(args: argparse.Namespace) -> Arrivals:
    from roadworthy.evaluate.arrivals.replay import Replay
    from roadworthy.evaluate.base import arrivals

    made = arrivals.make({"replay": {"path": args.trace}} if args.trace else args.arrivals or "poisson")
    if isinstance(made, Replay):
        made.trace()  # a file that is no trace is told before anybody is asked
    return made


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise BadRequest(f"a header is 'NAME: VALUE', got {text!r}")
    return name.strip(), value.strip()


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """What goes on now, where somebody looks at a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda told: None
        return
    with console.status("connecting") as status:
        yield status.update
