"""Put the project's model into the registry; the first release of a deployment goes live at once."""

from __future__ import annotations

import argparse

from roadworthy.cli.opening import open_spec, open_state, project_option
from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy release --project examples/flights --why 'first model'"


def options(parser: argparse.ArgumentParser) -> None:
    """Who releases, and why."""
    project_option(parser)
    parser.add_argument("--by", default="cli", help="who does it, for the history")
    parser.add_argument("--why", default="released by hand", help="the reason, for the history")


def run(args: argparse.Namespace) -> Outcome:
    """The release's digest, and whether it went live or waits for a rollout."""
    import time

    from roadworthy.cli.flows import release_model
    from roadworthy.registry.releases import Registry

    spec = open_spec(args)
    with open_state(spec) as state:
        registry = Registry(state)
        release, live = release_model(spec, registry, time.time(), args.by, args.why)
    next_step = "live as stable" if live else f"next: roadworthy rollout start {release.digest[:12]}"
    body = {"digest": release.digest, "name": release.name, "live": live}
    return Outcome(body, f"{release.name} {release.digest[:12]}: {next_step}")
