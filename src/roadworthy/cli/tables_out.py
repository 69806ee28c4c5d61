"""What commands that write a table part by part have in common: their options, and what they look at before."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from roadworthy.core.errors import BadData, Missing, Taken


def table_options(parser: argparse.ArgumentParser) -> None:
    """The table, where it goes, what is carried over, and what to do with what is there already."""
    parser.add_argument(
        "input", type=Path, metavar="TABLE", help="table with the models' inputs (.parquet, .csv, .csv.gz)"
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="table to write (.parquet or .csv)")
    parser.add_argument("--columns", default=None, metavar="A,B", help="columns to carry over (the project's id)")
    parser.add_argument("--resume", action="store_true", help="go on where a run into OUT was stopped")
    parser.add_argument("--overwrite", action="store_true", help="write OUT anew where it or a part of it exists")


def check_output(args: argparse.Namespace) -> None:
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


def carried_over(args: argparse.Namespace, identity: str) -> tuple[str, ...]:
    """The columns that the options name; without them that of the rows' identity, where the table has it."""
    from roadworthy.cli.score_tables import column_names

    if args.columns is not None:
        return tuple(name.strip() for name in args.columns.split(",") if name.strip())
    return (identity,) if identity and args.input.is_file() and identity in column_names(args.input) else ()


def how_to_resume() -> str:
    """The words of this process, to go on where it was stopped."""
    words = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
    return shlex.join(["roadworthy", *words, "--resume"])


@contextmanager
def progress(word: str, quiet: bool) -> Iterator[Callable[..., None]]:
    """A bar with rows a second and the time that is left, where somebody looks at a terminal.

    What it gives takes the rows that are done, how many there are in all (None: nobody knows), and maybe a note.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn(word),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
        transient=True,
    ) as shown:
        bar = shown.add_task(word, total=None, note="")

        def tell(done: int, total: int | None, note: str = "") -> None:
            rate = shown.tasks[bar].speed
            speed = [f"{rate:,.0f} rows/s"] if rate else []
            shown.update(bar, completed=done, total=total, note=", ".join([*speed, note] if note else speed))

        yield tell
