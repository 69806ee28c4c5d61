"""Train a candidate on every outcome that is known by now, and put it into the registry."""

from __future__ import annotations

import argparse
import time

from roadworthy.cli.opening import existing_state, open_spec, project_option, registry_of
from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy retrain --project examples/flights --start"


def options(parser: argparse.ArgumentParser) -> None:
    """Whether to begin its rollout too."""
    project_option(parser)
    parser.add_argument("--start", action="store_true", help="begin the candidate's rollout at once")
    parser.add_argument("--at", type=float, default=None, help="the time of the deployment's clock, Unix seconds (now)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--by", default="cli", help="who does it, for the history")


def run(args: argparse.Namespace) -> Outcome:
    """The candidate's digest and what was measured while training."""
    from roadworthy.cli.experience import Experience
    from roadworthy.cli.flows import controller_of, train_candidate
    from roadworthy.cli.profiling import profile_training
    from roadworthy.observe.root_cause.change_log import note_retrain

    spec, at = open_spec(args), time.time() if args.at is None else args.at
    with existing_state(spec) as state:
        registry = registry_of(spec, state)
        known = Experience(spec, state.records).known(at)
        candidate = train_candidate(spec, registry, known, at, args.seed, args.by)
        profile_training(spec, state, candidate, known, at)
        note_retrain(state.engine, at, spec.application.name, candidate.digest, args.by)
        if args.start:
            controller_of(spec, state, registry).start(
                spec.application.name, candidate.digest, spec.rollout, at, args.by
            )
    shown = f"{candidate.name} {candidate.digest[:12]}: trained on {known.n} rows"
    shown += "; its rollout began" if args.start else f"; next: roadworthy rollout start {candidate.digest[:12]}"
    return Outcome({"digest": candidate.digest, "rows": known.n, "started": args.start}, shown)
