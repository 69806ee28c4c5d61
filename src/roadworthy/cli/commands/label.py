"""Tell what became of predictions: one outcome, or a table of them."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from roadworthy.cli.opening import existing_state, open_spec, project_option
from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import BadRequest
from roadworthy.core.record import Label

EXAMPLE = "roadworthy label 2013-05-01T09:15Z-UA1545-EWR 1 --by person:anna --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """One id and value, or `--file`."""
    project_option(parser)
    parser.add_argument("id", nargs="?", help="the id that the answer carried")
    parser.add_argument("value", nargs="?", type=float, help="the outcome: 0 or 1, or a number")
    parser.add_argument("--file", type=Path, help="a table with the columns id, value, at (Unix seconds), maybe by")
    parser.add_argument(
        "--by", default="", help="who says so, as `person:anna` (cli; of a table its column `by`, else the file)"
    )
    parser.add_argument("--at", type=float, default=None, help="when it became known, Unix seconds (now)")


def run(args: argparse.Namespace) -> Outcome:
    """How many were kept; exit code 1 when some belong to no prediction (they are kept aside with the reason)."""
    from roadworthy.learn.labels import read_labels, told
    from roadworthy.observe.root_cause.change_log import note_labels

    if (args.file is None) == (not args.id) or (args.file is None and args.value is None):
        raise BadRequest("give an id and a value, or --file with a table of them; see `roadworthy label --help`")
    at = time.time() if args.at is None else args.at
    alone = args.file is None
    labels = [Label(args.id, args.value, at, args.by or "cli")] if alone else read_labels(args.file, source=args.by)
    spec = open_spec(args)
    with existing_state(spec) as state:
        report = state.records.write_labels(labels)
        if report.kept:
            note_labels(state.engine, at, spec.application.name, report.kept)
    lost = len(report.unknown) + len(report.conflicting)
    return Outcome(report, told(report), 1 if lost else 0)
