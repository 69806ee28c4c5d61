"""How ready the project is for production: the ML Test Score and four coverages, each with its evidence."""

from __future__ import annotations

import argparse

from roadworthy.cli.opening import existing_state, open_spec, project_option
from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import BadRequest

EXAMPLE = "roadworthy readiness --project examples/flights"
MOST = 7.0


def options(parser: argparse.ArgumentParser) -> None:
    """From which score on the exit code is 0."""
    project_option(parser)
    told = "the score (0 to 7) below which the exit code is 1 (`readiness: at_least:` of the project)"
    parser.add_argument("--at", type=float, default=None, help="the time that it is asked for, Unix seconds (now)")
    parser.add_argument("--at-least", type=float, default=None, help=told)


def run(args: argparse.Namespace) -> Outcome:
    """Exit code 0 when the score is high enough, 1 when it is not."""
    from msgspec.structs import replace

    from roadworthy.cli.readying import artefacts_of
    from roadworthy.cli.spans import clock_of
    from roadworthy.readiness.score import readiness, score_text

    spec = open_spec(args, check_files=False)
    if args.at_least is not None:
        if not 0 <= args.at_least <= MOST:
            raise BadRequest(f"`--at-least` is a score from 0 to {MOST:g}, got {args.at_least!r}")
        spec = replace(spec, readiness=replace(spec.readiness, at_least=args.at_least))
    with existing_state(spec) as state:
        score = readiness(artefacts_of(spec, state, clock_of(state) if args.at is None else args.at))
    return Outcome(score, score_text(score), score.verdict.exit_code)
