"""How good the answers are: with the labels that came, without the others, by slice, over time, and by abstaining."""

from __future__ import annotations

import argparse

from roadworthy.cli.opening import existing_state, open_spec, project_option, registry_of
from roadworthy.cli.outcome import Outcome
from roadworthy.cli.spans import stretch_of, stretch_options
from roadworthy.core.measure import EXIT_CODES

EXAMPLE = "roadworthy quality --project examples/flights --days 28"


def options(parser: argparse.ArgumentParser) -> None:
    """Which answers."""
    project_option(parser)
    stretch_options(parser, 28.0)
    parser.add_argument("--tolerance", type=float, default=None, help="a number that misses by so much is right")
    parser.add_argument("--release", default="", metavar="DIGEST", help="only answers of this release (all)")


def run(args: argparse.Namespace) -> Outcome:
    """Exit code 0 when what is required holds, 1 when it does not or labels are wrong, 3 when more data is needed."""
    from rich.console import Group

    from roadworthy.cli.watched_quality import full_quality_of
    from roadworthy.observe.quality.quality_text import quality_text
    from roadworthy.serve.selective.abstained_text import abstained_text

    spec = open_spec(args, check_files=False)
    with existing_state(spec) as state:
        release = registry_of(spec, state).get(args.release).digest if args.release else None
        found = full_quality_of(spec, state, stretch_of(args, state), release, args.tolerance)
    shown = [quality_text(found), *(["", abstained_text(found.abstained)] if found.abstained else [])]
    return Outcome(found, Group(*shown), EXIT_CODES[found.decision])
