"""List what can be named in a project file: detectors, gates, corruptions, engines, wrappers, policies, metrics."""

from __future__ import annotations

import argparse

from rich.table import Table

from roadworthy.cli.catalogs import catalogs
from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import Missing, unknown

EXAMPLE = "roadworthy list detector"


def options(parser: argparse.ArgumentParser) -> None:
    """One kind, or all of them."""
    parser.add_argument("kind", nargs="?", help="only this kind: detector, gate, corruption, engine, ...")


def run(args: argparse.Namespace) -> Outcome:
    """Every leaf with the first line of its docstring, ours and those of installed packages."""
    kinds = catalogs()
    wanted = kinds if args.kind is None else {args.kind.removesuffix("s"): kinds.get(args.kind.removesuffix("s"))}
    table = Table("kind", "name", "what it does", box=None, header_style="bold")
    body = {}
    for kind, catalog in wanted.items():
        if catalog is None:
            raise Missing(unknown("kind of leaf", str(args.kind), kinds))
        body[kind] = catalog.describe()
        for name, line in body[kind].items():
            table.add_row(kind, name, line)
    return Outcome(body, table)
