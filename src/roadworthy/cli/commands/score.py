"""Score a table: ask a release about every row and write the answers beside the columns that you choose."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from roadworthy.cli.opening import existing_state, open_spec, project_option, registry_of
from roadworthy.cli.outcome import Outcome
from roadworthy.cli.tables_out import carried_over, check_output, how_to_resume, progress, table_options
from roadworthy.core.errors import Missing

if TYPE_CHECKING:
    from roadworthy.cli.scoring import Job, Scored
    from roadworthy.core.artifact import Release
    from roadworthy.core.spec import Spec
    from roadworthy.registry.releases import Registry

EXAMPLE = "roadworthy score flights.parquet scored.parquet --project examples/flights --columns id,origin"


def options(parser: argparse.ArgumentParser) -> None:
    """Which table, which release, and what to carry over."""
    project_option(parser)
    table_options(parser)
    parser.add_argument("--release", default="", metavar="DIGEST", help="release to ask (the stable one)")
    parser.add_argument("--rows", type=int, default=None, help="score at most this many rows (all)")
    parser.add_argument("--batch", type=int, default=None, help="rows to ask about at a time (serving.most_rows)")
    parser.add_argument("--part-rows", type=int, default=65_536, help="rows in memory and in a part file (65536)")


def run(args: argparse.Namespace) -> Outcome:
    """How many rows were scored and how many failed, with the reasons; exit code 1 when some failed.

    A stopped or killed run leaves its complete parts in OUT.parts, from which --resume goes on.
    """
    from roadworthy.app.mixture import assembled
    from roadworthy.cli.scoring import IN_FLIGHT, score

    spec = open_spec(args, check_files=False)
    check_output(args)
    with existing_state(spec) as state:
        registry = registry_of(spec, state)
        release = _release(spec, registry, args.release)
        job = _job(args, spec, release)
        job.wanted()  # a table that lacks a column is told before a large model is loaded
        made = assembled(release, registry.files(release), spec.root, spec.serving)
    made.warm_up()
    in_flight = max(1, min(IN_FLIGHT, spec.serving.queue // job.batch))
    try:
        with progress("scoring", args.json) as tell:
            scored = score(job, made, args.resume, in_flight, tell)
    except KeyboardInterrupt:
        sys.stderr.write(f"stopped; go on with: {how_to_resume()}\n")
        raise
    return Outcome(scored, _shown(scored), 1 if scored.failed else 0)


def _release(spec: Spec, registry: Registry, digest: str) -> Release:
    chosen = digest or registry.alias(spec.application.name, "stable")
    if chosen is None:
        raise Missing(f"{spec.application.name!r} has no stable release yet: `roadworthy release` makes one")
    return registry.get(chosen)


def _job(args: argparse.Namespace, spec: Spec, release: Release) -> Job:
    from roadworthy.cli.scoring import Job

    carried = carried_over(args, spec.data.columns.id)
    batch = args.batch if args.batch is not None else spec.serving.most_rows
    return Job(args.input, args.output, release.digest, release.signature, carried, args.rows, batch, args.part_rows)


def _shown(scored: Scored) -> str:
    lines = [f"{scored.rows:,} rows scored by {scored.release[:12]} into {scored.output}, {scored.failed:,} failed"]
    if scored.resumed_at:
        lines.append(f"the first {scored.resumed_at:,} were there already")
    lines += [f"  {n:,} times {reason}" for reason, n in list(scored.reasons.items())[:5]]
    return "\n".join(lines)
