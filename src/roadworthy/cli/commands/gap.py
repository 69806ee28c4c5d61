"""Measure what production will really give: claim, production inputs, corruptions, edges, load, cold start, cost."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from roadworthy.cli.opening import open_spec, project_option
from roadworthy.cli.outcome import Outcome
from roadworthy.core.measure import EXIT_CODES

if TYPE_CHECKING:
    from roadworthy.core.spec import Spec
    from roadworthy.evaluate.gap import Effort
    from roadworthy.evaluate.reports.report import GapReport

EXAMPLE = "roadworthy gap --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """How much to ask of the model, and what to set it against."""
    project_option(parser)
    parser.add_argument("--endpoint", metavar="URL", help="measure a model that runs there (OpenAI's protocol, or V2)")
    parser.add_argument("--model", default="", help="its name there (the application's)")
    parser.add_argument("--compare", type=Path, nargs="+", metavar="MODEL", help="model files to choose between")
    parser.add_argument("--baseline", type=Path, metavar="GAP.JSON", help="an earlier report to tell what has changed")
    parser.add_argument("--rows", type=int, default=5_000, help="production rows per corruption and level (5000)")
    parser.add_argument("--load-seconds", type=float, default=5.0, help="length of the load test; 0 leaves it out")
    parser.add_argument(
        "--search-seconds", type=float, default=1.0, help="length of a probe for the largest rate; 0 leaves it out"
    )
    parser.add_argument("--crowd-rows", type=int, default=400, help="rows asked alone and in a crowd; 0 leaves it out")
    parser.add_argument("--no-edges", dest="edges", action="store_false", help="leave out hostile inputs")
    parser.add_argument("--starts", type=int, default=6, help="cold starts to measure; 0 leaves them out")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> Outcome:
    """The gap report; exit code 0 when every requirement passes, 1 when one fails, 3 when more data is needed."""
    from roadworthy.cli.flows import prepare

    prepare(open_spec(args, check_files=False))
    spec = open_spec(args)
    return _compared(spec, args) if args.compare else _measured(spec, args)


def _measured(spec: Spec, args: argparse.Namespace) -> Outcome:
    from rich.console import Console
    from rich.markdown import Markdown

    from roadworthy.cli.flows import keep_gap, measure_endpoint, measure_gap
    from roadworthy.cli.living import stage
    from roadworthy.evaluate.reports.baseline import against_baseline
    from roadworthy.ui.report import gap_markdown

    # Read first: a baseline that is none shall not cost minutes.
    before = _baseline(args.baseline) if args.baseline else None
    with stage(Console(stderr=True), "gap report") as step:
        effort = _effort(args)
        if args.endpoint:
            report = measure_endpoint(spec, args.endpoint, args.model, effort, step)
        else:
            report = measure_gap(spec, effort, step)
    diff = against_baseline(report, before) if before else None
    page = keep_gap(spec, report, diff)
    decisions = [report.decision, *([diff.verdict.decision] if diff else [])]
    code = next(EXIT_CODES[decision] for decision in ("fail", "wait", "pass") if decision in decisions)
    body = {"report": report, "baseline": diff} if diff else report
    return Outcome(body, Markdown(gap_markdown(report, diff) + f"\n\nReport with charts: {page}"), code)


def _compared(spec: Spec, args: argparse.Namespace) -> Outcome:
    from rich.console import Console
    from rich.markdown import Markdown

    from roadworthy.cli.comparing import compared
    from roadworthy.cli.flows import keep_comparison
    from roadworthy.cli.living import stage
    from roadworthy.ui.report import compare_markdown

    with stage(Console(stderr=True), "comparison") as step:
        reports, found = compared(spec, args.compare, _effort(args), step)
    page = keep_comparison(spec, reports, found)
    shown = Markdown(compare_markdown(found) + f"\n\nReport with charts: {page}")
    return Outcome(found, shown, EXIT_CODES[found.decision])


def _effort(args: argparse.Namespace) -> Effort:
    from roadworthy.evaluate.gap import Effort

    return Effort(
        corrupted_rows=args.rows,
        edges=args.edges,
        load_seconds=args.load_seconds,
        search_seconds=args.search_seconds,
        crowd_rows=args.crowd_rows,
        starts=args.starts,
        seed=args.seed,
    )


def _baseline(file: Path) -> GapReport:
    import msgspec

    from roadworthy.core.errors import BadData
    from roadworthy.evaluate.reports.report import read_json

    try:
        return read_json(file.read_bytes())
    except (OSError, msgspec.DecodeError) as wrong:
        raise BadData(f"{str(file)!r} is no gap report ({wrong}); give the `gap.json` of an earlier run") from wrong
