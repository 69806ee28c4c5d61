"""What the candidate answers where stable answered too: row by row, by slice, and which disagreements to look at."""

from __future__ import annotations

import argparse

from roadworthy.cli.opening import existing_state, open_spec, project_option, registry_of, state_option
from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy shadow --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """Which rollout, and which disagreements."""
    project_option(parser)
    state_option(parser)
    parser.add_argument("release", nargs="?", default="", help="the candidate's digest (of the newest rollout)")
    parser.add_argument("--most", type=int, default=10, help="how many disagreements are listed (10)")
    parser.add_argument("--stake", default="", metavar="NAME", help="what is at stake in a row, as `inputs.amount`")
    parser.add_argument("--margin", type=float, default=0.01, help="the difference in errors that matters (0.01)")
    parser.add_argument("--threshold", type=float, default=0.5, help="where a probability becomes a yes (0.5)")


def run(args: argparse.Namespace) -> Outcome:
    """Everything that both releases answered in that rollout's shadow."""
    import numpy as np
    from rich.console import Group

    from roadworthy.cli.shadows import shadow_rows
    from roadworthy.rollout.shadows.answer_pairs import paired
    from roadworthy.rollout.shadows.disagreements import Choice, disagreements
    from roadworthy.rollout.shadows.shadow_report import Comparison, compare_shadow
    from roadworthy.rollout.shadows.shadow_text import disagreements_text, shadow_text

    spec = open_spec(args, check_files=False)
    with existing_state(spec, args.state) as state:
        control, candidate = shadow_rows(spec, state, registry_of(spec, state), args.release)
    output = spec.application.output
    report = compare_shadow(control, candidate, Comparison(output=output, threshold=args.threshold))
    both = paired(control, candidate, output, args.threshold)
    choice = Choice(most=args.most, stake=args.stake, margin=args.margin)
    found = disagreements(both, np.random.default_rng(0), choice)
    shown = Group(shadow_text(report), "", disagreements_text(found))
    return Outcome({"report": report, "disagreements": found}, shown)
