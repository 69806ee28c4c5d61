"""What differs between two releases: files, plans, data, settings, and what was measured of each."""

from __future__ import annotations

import argparse

from roadworthy.cli.opening import existing_state, open_spec, project_option, registry_of, release_named, state_option
from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy diff 3f2a9c 81b0d4 --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """Which releases."""
    project_option(parser)
    state_option(parser)
    parser.add_argument("old", help="a digest, or enough of it")
    parser.add_argument("new", nargs="?", default="", help="the other one (what is stable now)")


def run(args: argparse.Namespace) -> Outcome:
    """Exit code 0 where they answer alike, 1 where they do not."""
    from roadworthy.registry.keeping.diff import diff, diff_text

    spec = open_spec(args, check_files=False)
    with existing_state(spec, args.state) as state:
        registry = registry_of(spec, state)
        found = diff(registry.get(args.old), release_named(registry, spec, args.new))
    return Outcome(found, diff_text(found), 0 if found.alike else 1)
