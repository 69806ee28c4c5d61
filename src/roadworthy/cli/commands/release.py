"""Put the project's model into the registry; the first release of a deployment goes live at once."""

from __future__ import annotations

import argparse
from functools import partial

from roadworthy.cli.opening import open_spec, open_state, project_option, registry_of
from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy release --project examples/flights --why 'first model'"


def options(parser: argparse.ArgumentParser) -> None:
    """Who releases, and why, and whether the model's file may run code."""
    project_option(parser)
    parser.add_argument("--by", default="cli", help="who does it, for the history")
    parser.add_argument("--why", default="released by hand", help="the reason, for the history")
    trust = "the file may run whatever code is in it, because you know who made it; this is written down"
    parser.add_argument("--trust", action="store_true", help=trust)
    source = "a model of MLflow instead: `models:/name/3`, `models:/name@champion`, `runs:/ID/model`, or a folder"
    parser.add_argument("--from", dest="source", default="", metavar="URI", help=source)
    parser.add_argument("--mlflow", default="", metavar="URI", help="the tracking server (MLFLOW_TRACKING_URI)")
    unsigned = "take a model of MLflow that has no signature: the application's inputs are believed"
    parser.add_argument("--unsigned", action="store_true", help=unsigned)


def run(args: argparse.Namespace) -> Outcome:
    """The release's digest, and whether it went live or waits for a rollout."""
    import time

    from roadworthy.cli.flows import measured_in_lab, record_trust, release_model, trusting
    from roadworthy.cli.profiling import profile_release

    if args.source:
        return _imported(args)
    spec = trusting(open_spec(args)) if args.trust else open_spec(args)
    with open_state(spec) as state:
        registry, at = registry_of(spec, state), time.time()
        trusted = record_trust(spec, state, at, args.by)
        release, live = release_model(spec, registry, at, args.by, args.why, partial(measured_in_lab, spec))
        profile_release(spec, state, registry, release, at)
    next_step = "live as stable" if live else f"next: roadworthy rollout start {release.digest[:12]}"
    body = {"digest": release.digest, "name": release.name, "live": live, "trusted": trusted}
    told = f" (its file is trusted by {args.by!r}: written to the events)" if trusted else ""
    return Outcome(body, f"{release.name} {release.digest[:12]}: {next_step}{told}")


def _imported(args: argparse.Namespace) -> Outcome:
    """A model of MLflow, with where it comes from."""
    import time

    from roadworthy.cli.exchanging import release_import
    from roadworthy.cli.profiling import profile_release
    from roadworthy.registry.exchange.mlflow_models import imported_lines

    spec = open_spec(args, check_files=False)
    with open_state(spec) as state:
        registry, at = registry_of(spec, state), time.time()
        if args.trust:
            told = {"by": args.by, "file": args.source, "engine": "mlflow"}
            state.note_deed(at, args.by, "trusted", spec.application.name, told)
        got, live = release_import(
            spec, registry, args.source, args.mlflow, at, args.by, args.why, args.trust, args.unsigned
        )
        profile_release(spec, state, registry, got.release, at)
    release = got.release
    next_step = "live as stable" if live else f"next: roadworthy rollout start {release.digest[:12]}"
    body = {"digest": release.digest, "name": release.name, "live": live, "origin": got.origin, "claims": got.claims}
    return Outcome(body, "\n".join([*imported_lines(got), next_step]))
