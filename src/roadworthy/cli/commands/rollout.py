"""Release a candidate step by step: start, status, promote, abort."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import msgspec

from roadworthy.cli.opening import existing_state, open_spec, project_option
from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import BadRequest

if TYPE_CHECKING:
    from roadworthy.rollout.controller import RolloutState

EXAMPLE = "roadworthy rollout start 3f2a9c --project examples/flights --why 'retrained on June'"
EXIT = {"promoted": 0, "running": 3, "rolled_back": 1, "aborted": 1}


def options(parser: argparse.ArgumentParser) -> None:
    """What to do, with which release, and why."""
    project_option(parser)
    parser.add_argument("action", choices=["start", "status", "promote", "abort"])
    parser.add_argument("release", nargs="?", default="", help="the candidate's digest, or enough of it (start)")
    parser.add_argument("--by", default="cli", help="who does it, for the history")
    parser.add_argument("--why", default="", help="the reason, for the history")
    parser.add_argument("--override", default="", help="why a release that was rolled back may be tried again")
    parser.add_argument("--at", type=float, default=None, help="the time of the deployment's clock, Unix seconds (now)")


def run(args: argparse.Namespace) -> Outcome:
    """The rollout as it stands; exit code 0 promoted, 1 taken back, 3 still running."""
    from roadworthy.cli.flows import controller_of
    from roadworthy.registry.releases import Registry

    spec, at = open_spec(args), time.time() if args.at is None else args.at
    name = spec.application.name
    with existing_state(spec) as state:
        registry = Registry(state)
        controller = controller_of(spec, state, registry)
        if args.action == "start":
            if not args.release:
                raise BadRequest("which release? `roadworthy rollout start DIGEST`; `roadworthy release` prints it")
            candidate = registry.get(args.release)
            now = controller.start(name, candidate.digest, spec.rollout, at, args.by, override=args.override)
        elif args.action == "status":
            now = controller.status(name)
        else:
            move = controller.promote if args.action == "promote" else controller.abort
            now = move(name, at, args.by, args.why or f"{args.action} by hand")
    # A program should find where it stands, also where that is the default, which a Struct leaves out.
    body = {**msgspec.to_builtins(now), "status": now.status, "stage": now.stage}
    return Outcome(body, describe(now), EXIT[now.status])


def describe(rollout: RolloutState) -> str:
    """A few lines: where it stands, since when, how many it touched, and what each gate said last."""
    stages = rollout.plan.stages
    stage = stages[min(rollout.stage, len(stages) - 1)]
    where = "shadow" if stage.mode == "shadow" else f"canary {stage.share:.0%}"
    lines = [
        f"{rollout.id}: {rollout.candidate[:12]} against {rollout.control[:12]}: {rollout.status}",
        f"  stage {rollout.stage + 1} of {len(stages)} ({where}); answered {rollout.touched} requests",
        f"  {rollout.because}" if rollout.because else "",
    ]
    lines += [f"  {verdict.of}: {verdict.decision} ({verdict.because})" for verdict in rollout.verdicts]
    return "\n".join(line for line in lines if line)
