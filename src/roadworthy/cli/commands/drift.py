"""What has drifted: every column against what the release was made on, and of which kind the drift is."""

from __future__ import annotations

import argparse

from roadworthy.cli.opening import existing_state, open_spec, project_option, registry_of
from roadworthy.cli.outcome import Outcome
from roadworthy.cli.spans import stretch_of, stretch_options
from roadworthy.core.measure import EXIT_CODES

EXAMPLE = "roadworthy drift --project examples/flights --days 7"


def options(parser: argparse.ArgumentParser) -> None:
    """Which records, against what."""
    project_option(parser)
    stretch_options(parser, 7.0)
    parser.add_argument("--release", default="", metavar="DIGEST", help="only records of this release, against its own")
    parser.add_argument("--profile", action="store_true", help="keep a new profile of the release from the lab's table")
    parser.add_argument("--skew", action="store_true", help="compare with the lab's rows id by id too: serving skew")
    parser.add_argument(
        "--recompute", default="", metavar="FILE.PY:NAME", help="recompute features at the logged times, and compare"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Exit code 1 when something drifted, 3 when there is too little to tell. The project's detectors are asked."""
    from roadworthy.cli.drifting import drifted, drifted_text
    from roadworthy.cli.profiling import profile_release

    spec = open_spec(args, check_files=False)
    with existing_state(spec) as state:
        registry = registry_of(spec, state)
        release = registry.get(args.release).digest if args.release else None
        stretch = stretch_of(args, state)
        if args.profile:
            made = registry.get(release or registry.alias(spec.application.name, "stable") or "")
            profile_release(spec, state, registry, made, stretch.now)
        found = drifted(spec, state, stretch, release, args.skew, args.recompute)
    return Outcome(found, drifted_text(found), EXIT_CODES[found.decision])
