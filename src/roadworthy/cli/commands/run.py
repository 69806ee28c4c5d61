"""Live a model's whole life: claim, gap, release, replay, drift, retraining, rollouts; frozen against managed."""

from __future__ import annotations

import argparse
from pathlib import Path

from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy run examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """Which project, how long, and from which seed."""
    parser.add_argument("project", type=Path, nargs="?", default=Path(), help="folder of roadworthy.yaml (.)")
    parser.add_argument("--days", type=float, default=1e9, help="how many days of production to live through (all)")
    parser.add_argument("--seed", type=int, default=0, help="of the training and of the traffic split")


def run(args: argparse.Namespace) -> Outcome:
    """The table at the end; exit code 1 when a scenario did not end as it should, or the claim was not reproduced."""
    from roadworthy.cli.living import live
    from roadworthy.cli.telling import life_text

    told = live(args.project, args.days, args.seed)
    return Outcome(told.life, life_text(told), 0 if told.as_expected else 1)
