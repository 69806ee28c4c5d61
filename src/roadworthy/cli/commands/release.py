"""Put the project's model into the registry; the first release of a deployment goes live at once."""

from __future__ import annotations

import argparse

from roadworthy.cli.opening import open_spec, open_state, project_option
from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy release --project examples/flights --why 'first model'"


def options(parser: argparse.ArgumentParser) -> None:
    """Who releases, and why, and whether the model's file may run code."""
    project_option(parser)
    parser.add_argument("--by", default="cli", help="who does it, for the history")
    parser.add_argument("--why", default="released by hand", help="the reason, for the history")
    trust = "the file may run whatever code is in it, because you know who made it; this is written down"
    parser.add_argument("--trust", action="store_true", help=trust)


def run(args: argparse.Namespace) -> Outcome:
    """The release's digest, and whether it went live or waits for a rollout."""
    import time

    from roadworthy.cli.flows import record_trust, release_model, trusting
    from roadworthy.cli.profiling import profile_release
    from roadworthy.registry.releases import Registry

    spec = trusting(open_spec(args)) if args.trust else open_spec(args)
    with open_state(spec) as state:
        registry, at = Registry(state), time.time()
        trusted = record_trust(spec, state, at, args.by)
        release, live = release_model(spec, registry, at, args.by, args.why)
        profile_release(spec, state, registry, release, at)
    next_step = "live as stable" if live else f"next: roadworthy rollout start {release.digest[:12]}"
    body = {"digest": release.digest, "name": release.name, "live": live, "trusted": trusted}
    told = f" (its file is trusted by {args.by!r}: written to the events)" if trusted else ""
    return Outcome(body, f"{release.name} {release.digest[:12]}: {next_step}{told}")
