"""Make a release honest about itself: calibrated probabilities, prediction sets, and when to leave a row to others."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from roadworthy.cli.opening import open_spec, open_state, project_option, registry_of, release_named
from roadworthy.cli.outcome import Outcome
from roadworthy.cli.spans import stretch_of, stretch_options
from roadworthy.core.errors import BadRequest

if TYPE_CHECKING:
    from roadworthy.core.artifact import Release
    from roadworthy.registry.releases import Registry
    from roadworthy.serve.honesty import Honest

EXAMPLE = "roadworthy calibrate --cover 0.9 --risk 0.1 --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """Which rows, what to fit, and whether to keep it."""
    project_option(parser)
    parser.add_argument("release", nargs="?", default="", help="a digest, or enough of it (what is stable now)")
    parser.add_argument(
        "--rows",
        choices=("records", "lab", "production"),
        default="records",
        help="labelled rows that the model was not trained on: its records (default), or a table of the project",
    )
    stretch_options(parser, 28.0)
    parser.add_argument("--method", action="append", default=[], help="a way to calibrate, as `isotonic` (all)")
    parser.add_argument("--cover", type=float, default=0.0, help="fit sets that hold so much of the truths, as 0.9")
    parser.add_argument("--sets", default="", help="which sets: lac, aps, raps, absolute")
    parser.add_argument("--each", default="", metavar="class|TAG", help="the coverage in each class, or value of a tag")
    parser.add_argument("--risk", type=float, default=0.0, help="at most so much wrong of what is answered, as 0.05")
    parser.add_argument("--delta", type=float, default=0.1, help="the chance that this fails (0.1)")
    parser.add_argument("--follow", action="store_true", help="probabilities and sets follow late labels")
    parser.add_argument("--seed", type=int, default=0, help="deals the rows to what is fitted (0)")
    parser.add_argument("--keep", action="store_true", help="keep it as a release, which a rollout may try")
    parser.add_argument(
        "--page", type=Path, default=None, metavar="FILE", help="draw it (.roadworthy/calibration.html)"
    )
    parser.add_argument("--by", default="cli", help="who does it, for the history")


def run(args: argparse.Namespace) -> Outcome:
    """What was fitted, measured on rows that it was not fitted on. Exit code 3 where nothing was shown to be better."""
    from roadworthy.cli.answered import answered, served_coverage
    from roadworthy.cli.flows import write_whole
    from roadworthy.serve.conformal.coverage import lines, promised_cover
    from roadworthy.serve.honesty import Wanted, fit_all
    from roadworthy.serve.honesty_text import honest_text
    from roadworthy.ui.honest_document import honest_page

    spec = open_spec(args, check_files=False)
    try:
        wanted = Wanted(tuple(args.method), args.cover, args.sets, args.each, args.risk, args.delta, args.follow)
    except ValueError as wrong:
        raise BadRequest(str(wrong)) from wrong
    with open_state(spec) as state:
        registry = registry_of(spec, state)
        base = release_named(registry, spec, args.release)
        by = args.each if args.each != "class" else ""
        span, promised = stretch_of(args, state), promised_cover(base)
        looks = args.rows == "records" or promised
        records = state.records.read(span.since, span.until, release=base.digest) if looks else []
        days = (span.until - span.since) / 86_400
        rows, source = answered(spec, registry, base, args.rows, records, days, by)
        found = fit_all(spec.application, rows, wanted, Random(args.seed))
        served = served_coverage(spec, records, promised, by) if promised else None
        facts = f"release {base.digest[:12]}, {found.rows:,} labelled rows: {source}"
        page = args.page or spec.state / "calibration.html"
        write_whole(page, honest_page(found, spec.application.name, facts, served).encode())
        kept = _kept(registry, base, found, source, args.by) if args.keep and found.plans else None
    shown = [facts, "", honest_text(found)]
    shown += ["", "sets that were served", *lines(served)] if served is not None else []
    shown.append(f"page: {page}")
    if kept is not None:
        shown.append(f"kept as {kept.digest[:12]}; next: roadworthy rollout start {kept.digest[:12]}")
    from rich.console import Group

    body = {"found": found, "served": served, "kept": None if kept is None else kept.digest, "page": str(page)}
    return Outcome(body, Group(*shown), 0 if found.plans else 3)


def _kept(registry: Registry, base: Release, found: Honest, source: str, by: str) -> Release:
    """The release with what was fitted around it, in the registry."""
    from msgspec.structs import replace

    from roadworthy.learn.retrain import written

    after = found.calibration.after if found.calibration is not None else None
    made = replace(
        base,
        wrappers=(*(written(plan) for plan in found.plans), *base.wrappers),
        parent=base.digest,
        made_by=by,
        made_at=time.time(),
        data={**base.data, "calibration": f"{found.rows} rows of {source}"},
        calibration=() if after is None else (*after.errors, after.log_loss),
        note="calibrated",
    )
    return registry.add(made, registry.files(base))
