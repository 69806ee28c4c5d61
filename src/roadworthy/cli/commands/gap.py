"""Measure what production will really give: claim, production inputs, corruptions, load, cost."""

from __future__ import annotations

import argparse

from roadworthy.cli.opening import open_spec, project_option
from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy gap --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """How much to ask of the model."""
    project_option(parser)
    parser.add_argument("--rows", type=int, default=20_000, help="production rows per corruption (20000)")
    parser.add_argument("--load-seconds", type=float, default=5.0, help="length of the load test; 0 leaves it out")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> Outcome:
    """The gap report; exit code 0 when every requirement passes, 1 when one fails, 3 when more data is needed."""
    from rich.markdown import Markdown

    from roadworthy.cli.flows import measure_gap, prepare
    from roadworthy.evaluate.gap import Effort
    from roadworthy.ui.report import gap_markdown

    spec = open_spec(args, check_files=False)
    prepare(spec)
    spec = open_spec(args)
    effort = Effort(corrupted_rows=args.rows, load_seconds=args.load_seconds, seed=args.seed)
    report, page = measure_gap(spec, effort)
    code = {"pass": 0, "fail": 1, "wait": 3}[report.decision]
    return Outcome(report, Markdown(gap_markdown(report) + f"\n\nReport with charts: {page}"), code)
