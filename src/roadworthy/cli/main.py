"""The command line: finds the commands in `cli/commands`, one file each, and runs the one that was asked for."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import NoReturn

import msgspec
from rich.console import Console

from roadworthy import __version__
from roadworthy.core.errors import RoadworthyError, nearest

WRONG_USE = 2


class Parser(argparse.ArgumentParser):
    """argparse, with the nearest valid name for a word that it does not know."""

    def error(self, message: str) -> NoReturn:
        given, choices = _wrong_choice(message)
        hint = nearest(given, choices)
        self.exit(WRONG_USE, f"roadworthy: {message}{hint}\nsee `{self.prog} --help`\n")


def parser() -> argparse.ArgumentParser:
    """The whole command line, each command's options and example from its own module."""
    whole = Parser(prog="roadworthy", description="Take a model from the lab to production and keep it honest there.")
    whole.add_argument("--version", action="version", version=f"roadworthy {__version__}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name, module in modules():
        summary, _, rest = (module.__doc__ or "").strip().partition("\n")
        one = commands.add_parser(
            name,
            help=summary,
            description=f"{summary}\n{rest}".strip(),
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.add_argument("--json", action="store_true", help="print one JSON document instead of text")
        module.options(one)
        one.set_defaults(run=module.run)
    return whole


def modules() -> Iterator[tuple[str, ModuleType]]:
    """Each command's name and module: `cli/commands/new.py` is `roadworthy new`."""
    from roadworthy.cli import commands

    for found in pkgutil.iter_modules(commands.__path__):
        yield found.name, importlib.import_module(f"{commands.__name__}.{found.name}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; what Roadworthy refuses is one sentence on stderr and exit code 2."""
    args = parser().parse_args(argv)
    try:
        outcome = args.run(args)
    except RoadworthyError as refused:
        if args.json:
            sys.stdout.write(msgspec.json.encode({"error": str(refused)}).decode() + "\n")
        sys.stderr.write(f"roadworthy {args.command}: {refused}\n")
        return refused.exit_code
    except KeyboardInterrupt:
        return 130
    if args.json:
        sys.stdout.write(msgspec.json.encode(outcome.body, enc_hook=str).decode() + "\n")
    else:
        # What is told has intervals in brackets, which are no markup.
        Console(soft_wrap=True, markup=False).print(outcome.shown)
    return int(outcome.exit_code)


def _wrong_choice(message: str) -> tuple[str, list[str]]:
    """The word and the allowed words in argparse's "invalid choice" sentence."""
    given, found, allowed = message.partition(" (choose from ")
    if not found:
        return "", []
    return given.rpartition("'")[0].rpartition("'")[2], [c.strip(" ')") for c in allowed.split(",")]


if __name__ == "__main__":
    raise SystemExit(main())
