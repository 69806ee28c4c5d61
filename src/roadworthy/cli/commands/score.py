"""Score a table: ask a release about every row and write the answers beside the columns that you choose."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from roadworthy.cli.opening import existing_state, open_spec, project_option, registry_of
from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import BadData, Missing, Taken

if TYPE_CHECKING:
    from roadworthy.cli.scoring import Job, Scored
    from roadworthy.core.artifact import Release
    from roadworthy.core.spec import Spec
    from roadworthy.registry.releases import Registry

EXAMPLE = "roadworthy score flights.parquet scored.parquet --project examples/flights --columns id,origin"


def options(parser: argparse.ArgumentParser) -> None:
    """Which table, which release, and what to carry over."""
    project_option(parser)
    parser.add_argument(
        "input", type=Path, metavar="IN", help="table with the model's inputs (.parquet, .csv, .csv.gz)"
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="table to write (.parquet or .csv)")
    parser.add_argument("--release", default="", metavar="DIGEST", help="release to ask (the stable one)")
    parser.add_argument("--columns", default=None, metavar="A,B", help="columns of IN to carry over (the project's id)")
    parser.add_argument("--rows", type=int, default=None, help="score at most this many rows (all)")
    parser.add_argument("--batch", type=int, default=None, help="rows to ask about at a time (serving.most_rows)")
    parser.add_argument("--part-rows", type=int, default=65_536, help="rows in memory and in a part file (65536)")
    parser.add_argument("--resume", action="store_true", help="go on where a scoring into OUT was stopped")
    parser.add_argument("--overwrite", action="store_true", help="write OUT anew where it or a part of it exists")


def run(args: argparse.Namespace) -> Outcome:
    """How many rows were scored and how many failed, with the reasons; exit code 1 when some failed.

    A stopped or killed run leaves its complete parts in OUT.parts, from which --resume goes on.
    """
    from roadworthy.app.mixture import assembled
    from roadworthy.cli.scoring import IN_FLIGHT, score

    spec = open_spec(args, check_files=False)
    _check_output(args)
    with existing_state(spec) as state:
        registry = registry_of(spec, state)
        release = _release(spec, registry, args.release)
        job = _job(args, spec, release)
        job.wanted()  # a table that lacks a column is told before a large model is loaded
        made = assembled(release, registry.files(release), spec.root, spec.serving)
    made.warm_up()
    in_flight = max(1, min(IN_FLIGHT, spec.serving.queue // job.batch))
    try:
        with _progress(args.json) as tell:
            scored = score(job, made, args.resume, in_flight, tell)
    except KeyboardInterrupt:
        sys.stderr.write(f"stopped; go on with: {_resuming()}\n")
        raise
    return Outcome(scored, _shown(scored), 1 if scored.failed else 0)


def _check_output(args: argparse.Namespace) -> None:
    """See that nothing is lost by writing. Raises BadData, Missing or Taken."""
    from roadworthy.cli.score_parts import folder_of
    from roadworthy.cli.score_tables import format_of

    format_of(args.output, "output")
    if args.output.suffix == ".gz":
        raise BadData(f"output {str(args.output)!r}: it is written uncompressed; leave out the .gz")
    if not args.output.parent.is_dir():
        raise Missing(f"no folder {str(args.output.parent)!r} to write {args.output.name!r} into; make it first")
    if args.output.exists() and not args.overwrite:
        raise Taken(f"{str(args.output)!r} exists; choose another name, or give --overwrite")
    if args.overwrite and not args.resume:
        shutil.rmtree(folder_of(args.output), ignore_errors=True)


def _release(spec: Spec, registry: Registry, digest: str) -> Release:
    chosen = digest or registry.alias(spec.application.name, "stable")
    if chosen is None:
        raise Missing(f"{spec.application.name!r} has no stable release yet: `roadworthy release` makes one")
    return registry.get(chosen)


def _job(args: argparse.Namespace, spec: Spec, release: Release) -> Job:
    from roadworthy.cli.score_tables import column_names
    from roadworthy.cli.scoring import Job

    identity = spec.data.columns.id
    if args.columns is not None:
        carried = tuple(name.strip() for name in args.columns.split(",") if name.strip())
    else:
        carried = (identity,) if identity and args.input.is_file() and identity in column_names(args.input) else ()
    batch = args.batch if args.batch is not None else spec.serving.most_rows
    return Job(args.input, args.output, release.digest, release.signature, carried, args.rows, batch, args.part_rows)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A bar with rows a second and the time that is left, where somebody looks at a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    speed = TextColumn("{task.fields[speed]}")
    shown = not quiet and console.is_terminal
    with Progress(
        TextColumn("scoring"),
        BarColumn(),
        MofNCompleteColumn(),
        speed,
        TimeRemainingColumn(),
        console=console,
        disable=not shown,
        transient=True,
    ) as progress:
        bar = progress.add_task("scoring", total=None, speed="")

        def tell(done: int, total: int | None) -> None:
            rate = progress.tasks[bar].speed
            progress.update(bar, completed=done, total=total, speed=f"{rate:,.0f} rows/s" if rate else "")

        yield tell


def _shown(scored: Scored) -> str:
    lines = [f"{scored.rows:,} rows scored by {scored.release[:12]} into {scored.output}, {scored.failed:,} failed"]
    if scored.resumed_at:
        lines.append(f"the first {scored.resumed_at:,} were there already")
    lines += [f"  {n:,} times {reason}" for reason, n in list(scored.reasons.items())[:5]]
    return "\n".join(lines)


def _resuming() -> str:
    words = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
    return shlex.join(["roadworthy", *words, "--resume"])
