"""Choose between a cheap and a dear model, row by row: learn the router, watch it, and try another on its traffic."""

from __future__ import annotations

import argparse
from pathlib import Path

from roadworthy.cli.mixtures import fit_file, served
from roadworthy.cli.opening import existing_state, open_spec, project_option, registry_of, release_named
from roadworthy.cli.outcome import Outcome
from roadworthy.cli.spans import stretch_of, stretch_options
from roadworthy.core.errors import BadRequest
from roadworthy.core.measure import EXIT_CODES

EXAMPLE = "roadworthy route fit --rows lab --share 0.4 --project examples/cascade"


def options(parser: argparse.ArgumentParser) -> None:
    """What to learn from, how much may be sent to the dear model, which stretch of traffic."""
    project_option(parser)
    parser.add_argument("action", choices=("fit", "report", "replay"))
    parser.add_argument("router", nargs="?", type=Path, help="of `replay`: the file of the router to try")
    parser.add_argument(
        "--rows",
        choices=("records", "lab", "production"),
        default="records",
        help="sampled comparisons in the records (default), or a table about which both models are asked now",
    )
    parser.add_argument("--share", type=float, default=0.5, help="of the rows that the dear model may answer (0.5)")
    parser.add_argument("--times", type=float, default=2.0, help="no segment loses more than this times the mean (2)")
    parser.add_argument(
        "--requests", type=int, default=10_000, help="the floors are to hold over so many requests (10000)"
    )
    parser.add_argument("--tag", default="", help="the tag that names a row's segment (from records: the router's)")
    parser.add_argument("--margin", type=float, default=0.01, help="of `replay`: how much worse may another one be")
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="of `fit` (`model.policy_file`)")
    parser.add_argument("--page", type=Path, default=None, metavar="FILE", help="of `fit` (.roadworthy/route.html)")
    stretch_options(parser, 28.0)


def run(args: argparse.Namespace) -> Outcome:
    """`report`: 1 where it costs more than it saves or left its plan; `replay`: 1 where the other one is worse."""
    return {"fit": _fit, "report": _report, "replay": _replay}[args.action](args)


def _fit(args: argparse.Namespace) -> Outcome:
    from rich.console import Console

    from roadworthy.app.mixture import member_digests
    from roadworthy.cli.cascading import members_of
    from roadworthy.cli.flows import prepare, read, write_whole
    from roadworthy.cli.routing import judged_table, judged_traffic, recorded_traffic, tag_of_router
    from roadworthy.core.fitted import sealed
    from roadworthy.route.routers.fitting import fit
    from roadworthy.route.routers.router import Settings
    from roadworthy.route.routers.router_text import fit_lines
    from roadworthy.ui.route_document import route_page

    spec = open_spec(args, check_files=False)
    out = fit_file(spec, args.out)
    try:
        settings = Settings(args.share, args.share, args.times, requests=args.requests)
    except ValueError as wrong:
        raise BadRequest(str(wrong)) from wrong
    if args.rows == "records":
        with existing_state(spec) as state:
            registry, span = registry_of(spec, state), stretch_of(args, state)
            records = state.records.read(span.since, span.until)
            release = release_named(registry, spec, "")
            files = registry.files(release)
            tag = args.tag or tag_of_router(release, files)
            rows = judged_traffic(spec, recorded_traffic(spec, release, records), tag)
    else:
        console = Console(stderr=True)
        prepare(spec, console.print)
        release, files = members_of(spec)
        rows, tag = judged_table(spec, read(spec, args.rows), args.tag, console.print), args.tag or "segment"
    found = fit(rows, tag=tag, settings=settings)
    spec.state.mkdir(exist_ok=True)
    page = args.page or spec.state / "route.html"
    found.router.write(out)
    write_whole(out, sealed(out.read_bytes(), member_digests(release, files)))
    write_whole(page, route_page(found, spec.application.name).encode())
    lines = [*fit_lines(found), f"router: {out}", f"page: {page}"]
    body = {"curve": found.curve, "after": found.after, "measured": found.measured, "file": str(out), "page": str(page)}
    return Outcome(body, "\n".join(lines))


def _report(args: argparse.Namespace) -> Outcome:
    """What the router did against its plan, and whether no router would have been cheaper."""
    import msgspec
    from rich.console import Group

    from roadworthy.app.mixture import POLICY
    from roadworthy.cli.routing import members_of_route, recorded_traffic, refuse_other_policies
    from roadworthy.core.measure import worst
    from roadworthy.cost.ledger import ledger, right_by
    from roadworthy.cost.ledger_text import ledger_text
    from roadworthy.route.routers.router import RouterFile
    from roadworthy.route.traffic.traffic_text import watched_text
    from roadworthy.route.traffic.watched import watched

    spec = open_spec(args, check_files=False)
    release, files, records = served(spec, args)
    refuse_other_policies(release)
    planned = args.share
    if POLICY in files:
        planned = msgspec.json.decode(files[POLICY].read_bytes(), type=RouterFile).settings.share
    seen = watched(recorded_traffic(spec, release, records), planned)
    bill = ledger(records, members_of_route(release), right_by(spec.application.output), planned)
    verdicts = (*(chart.verdict for chart in seen.charts), bill.verdict)
    body = {"release": release.digest, "watched": seen, "ledger": bill}
    return Outcome(body, Group(watched_text(seen), "", ledger_text(bill)), EXIT_CODES[worst(verdicts)])


def _replay(args: argparse.Namespace) -> Outcome:
    from roadworthy.cli.routing import recorded_traffic
    from roadworthy.route.routers.router import Router
    from roadworthy.route.traffic.replayed import replayed, rule_of
    from roadworthy.route.traffic.traffic_text import replayed_text

    if args.router is None:
        raise BadRequest("which router? `roadworthy route replay FILE`, a file that `roadworthy route fit` wrote")
    spec = open_spec(args, check_files=False)
    release, _, records = served(spec, args)
    traffic = recorded_traffic(spec, release, records)
    found = replayed(traffic, rule_of(Router.read(args.router)), args.router.name, args.margin)
    return Outcome(found, replayed_text(found), found.verdict.exit_code)
