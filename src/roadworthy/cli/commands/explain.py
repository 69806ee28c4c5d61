"""Answer for one prediction: which release gave it, on what, how sure it was, and what became of ones like it."""

from __future__ import annotations

import argparse

from roadworthy.cli.opening import existing_state, open_spec, project_option
from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy explain 2013-05-01T09:15Z-UA1545-EWR --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """Which prediction."""
    project_option(parser)
    parser.add_argument("id", help="the id that the answer carried")


def run(args: argparse.Namespace) -> Outcome:
    """The record, its place in the reference and in recent traffic, its like, what made it, and an exact replay."""
    from roadworthy.cli.explaining import explained
    from roadworthy.observe.explain import explanation_text

    spec = open_spec(args)
    with existing_state(spec) as state:
        explanation = explained(spec, state, args.id)
    return Outcome(explanation, explanation_text(explanation))
