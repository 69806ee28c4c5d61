"""Why did it get worse? Which stage, which slice, what changed: the causes of a spike, ranked, in sentences."""

from __future__ import annotations

import argparse

from roadworthy.cli.opening import existing_state, open_spec, project_option
from roadworthy.cli.outcome import Outcome
from roadworthy.cli.spans import zone_option
from roadworthy.core.measure import EXIT_CODES

EXAMPLE = "roadworthy why --from 03:00 --to 03:20 --metric p99 --project examples/flights"
METRICS = ("p50", "p95", "p99", "p99.9", "mean", "errors", "accuracy", "cost")


def options(parser: argparse.ArgumentParser) -> None:
    """When, and which metric."""
    project_option(parser)
    parser.add_argument(
        "--from", dest="begin", required=True, metavar="TIME", help="`03:00`, `2h ago`, a date with a time"
    )
    parser.add_argument("--to", dest="end", default="", metavar="TIME", help="the end (now)")
    zone_option(parser)
    parser.add_argument("--metric", choices=METRICS, default="p99", help="what got worse (p99)")


def run(args: argparse.Namespace) -> Outcome:
    """Exit code 1 when it got worse beyond chance, 0 when it did not, 3 when there is too little to tell."""
    from roadworthy.cli.flows import write_whole
    from roadworthy.cli.spans import clock_of
    from roadworthy.observe.root_cause.incident import investigate
    from roadworthy.observe.root_cause.time_span import span, zone_named
    from roadworthy.observe.root_cause.why_text import why_text
    from roadworthy.ui.page import html_of
    from roadworthy.ui.why_document import why_document

    spec, zone = open_spec(args, check_files=False), zone_named(args.zone)
    with existing_state(spec) as state:
        when = span(args.begin, args.end, clock_of(state), zone)
        name = spec.application.name
        found = investigate(state, name, when.since, when.until, args.metric, output=spec.application.output)
        page = state.directory / "why.html"
        write_whole(page, html_of(why_document(found, name, zone)).encode())
    shown = f"{why_text(found, zone)}\n\nWith charts: {page}"
    return Outcome(found, shown, EXIT_CODES[found.verdict.decision])
