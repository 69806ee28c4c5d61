"""What a release was made from and what was made from it, as a tree with what each step changed."""

from __future__ import annotations

import argparse

from roadworthy.cli.opening import existing_state, open_spec, project_option, registry_of, release_named, state_option
from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy lineage --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """Which release, and in which form."""
    project_option(parser)
    state_option(parser)
    parser.add_argument("release", nargs="?", default="", help="a digest, or enough of it (what is stable now)")
    parser.add_argument("--mermaid", action="store_true", help="as the text of a Mermaid diagram")


def run(args: argparse.Namespace) -> Outcome:
    """The tree, the release that was asked for marked in it."""
    from roadworthy.registry.keeping.lineage import draw_lineage, lineage_mermaid, lineage_text

    spec = open_spec(args, check_files=False)
    with existing_state(spec, args.state) as state:
        asked = release_named(registry_of(spec, state), spec, args.release)
        found = draw_lineage(state, asked.digest)
    return Outcome(found, lineage_mermaid(found) if args.mermaid else lineage_text(found))
