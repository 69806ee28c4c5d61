"""Answer with a cheap model where it is sure, and send the rest on: for traffic that is served, or for a table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from roadworthy.cli.mixtures import fit_file, served
from roadworthy.cli.opening import existing_state, open_spec, project_option
from roadworthy.cli.outcome import Outcome
from roadworthy.cli.spans import stretch_options
from roadworthy.cli.tables_out import carried_over, check_output, how_to_resume, progress, table_options
from roadworthy.core.errors import BadRequest, SpecError
from roadworthy.core.measure import EXIT_CODES, worst

if TYPE_CHECKING:
    from roadworthy.core.artifact import Release
    from roadworthy.core.spec import Spec
    from roadworthy.route.cascades.fits import CascadeFit, Target

EXAMPLE = "roadworthy cascade fit --agreement 0.98 --project examples/cascade"


def options(parser: argparse.ArgumentParser) -> None:
    """Each action has options of its own."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, summary, add in (
        (
            "fit",
            "learn from which confidence on a cheap member may answer alone; for a release that is served",
            _to_fit,
        ),
        ("answer", "answer a whole table, buying as few answers of the last member as the promise allows", _to_answer),
        ("report", "what was promised against what audits of served traffic show, and what it cost", _to_report),
    ):
        one = actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        # It may stand here as well as before the action.
        one.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
        project_option(one)
        add(one)


def _to_fit(parser: argparse.ArgumentParser) -> None:
    _promise_options(parser)
    parser.add_argument(
        "--rows",
        choices=("lab", "production"),
        default="lab",
        help="table of the project whose rows all members are asked about (lab); the promise is for rows like these",
    )
    parser.add_argument("--by-class", action="store_true", help="a threshold for each predicted class")
    parser.add_argument(
        "--repeat", type=int, default=0, metavar="N", help="ask the last member twice about N rows: does it contradict?"
    )
    parser.add_argument("--seed", type=int, default=0, help="which rows choose thresholds, and which test them (0)")
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="the fit (`model.policy_file`)")
    parser.add_argument("--page", type=Path, default=None, metavar="FILE", help="the page (.roadworthy/cascade.html)")


def _to_answer(parser: argparse.ArgumentParser) -> None:
    table_options(parser)
    _promise_options(parser)
    parser.add_argument("--cheap", default="", metavar="NAME", help="member that answers first (the last but one)")
    parser.add_argument("--seed", type=int, default=0, help="which rows are drawn and labelled (0)")
    parser.add_argument("--batch", type=int, default=None, help="rows to ask about at a time (serving.most_rows)")
    parser.add_argument(
        "--part-rows",
        type=int,
        default=65_536,
        help="rows in memory and in a part, after each of which the promise holds (65536); large parts send on less",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="TABLE is one of N that are answered apart: the promise then holds for all of them together (1)",
    )


def _to_report(parser: argparse.ArgumentParser) -> None:
    stretch_options(parser, 28.0)


def _promise_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--precision", type=float, default=None, help="of the answers yes, against the last member's")
    parser.add_argument("--recall", type=float, default=None, help="of the last member's yes, how many are answered so")
    parser.add_argument("--agreement", type=float, default=None, help="with the last member, of all answers")
    parser.add_argument("--accuracy", type=float, default=None, help="against the labels of the table (of `fit` only)")
    parser.add_argument("--delta", type=float, default=0.1, help="the chance that the promise fails (0.1)")


def run(args: argparse.Namespace) -> Outcome:
    """`fit`: exit code 3 where every row must be sent on. `report`: 0 the promise holds, 1 it is broken, 3 wait.

    `answer`: 1 where rows are left without an answer. A stopped or killed run leaves its complete parts in OUT.parts,
    and what was bought for the next one: --resume goes on from there.
    """
    return {"fit": _fit, "answer": _answer, "report": _report}[args.action](args)


def _fit(args: argparse.Namespace) -> Outcome:
    import msgspec
    import numpy as np
    from rich.console import Console

    from roadworthy.cli.cascading import ask_members, fit_cascade
    from roadworthy.cli.flows import prepare, read, write_whole
    from roadworthy.core.fitted import sealed
    from roadworthy.route.cascades.report import report
    from roadworthy.ui.cascade_document import cascade_page

    spec = open_spec(args, check_files=False)
    target = _target(args)
    out = fit_file(spec, args.out)
    console = Console(stderr=True, soft_wrap=True)
    prepare(spec, console.print)
    found = ask_members(spec, read(spec, args.rows), args.repeat, console.print)
    fit = fit_cascade(found, target, args.by_class, np.random.default_rng(args.seed))
    prices = {name: member.usd_per_1k for name, member in spec.model.members.items()}
    spec.state.mkdir(exist_ok=True)
    page = args.page or spec.state / "cascade.html"
    write_whole(out, sealed(msgspec.json.encode(fit), found.members))
    write_whole(page, cascade_page(fit, spec.application.name, prices).encode())
    shown = f"{report(fit)}\nfit: {out}\npage: {page}\n{_next_step(spec, out, fit)}"
    return Outcome({"fit": fit, "file": str(out), "page": str(page)}, shown, 0 if fit.certified else 3)


def _next_step(spec: Spec, out: Path, fit: CascadeFit) -> str:
    """What to do with a fit that was written."""
    if not fit.certified:
        return "next: label more rows, lower the promise or raise --delta; released as it is, every row is sent on"
    if spec.model.policy_file and spec.path(spec.model.policy_file).resolve() == out.resolve():
        return "next: `roadworthy release` makes a release of the members and this fit"
    return f"next: below `model:` set `policy: cascade` and `policy_file: {out}`, then `roadworthy release`"


def _answer(args: argparse.Namespace) -> Outcome:
    from roadworthy.cli.cascade_telling import table_text
    from roadworthy.cli.flows import prepare
    from roadworthy.cli.scoring import Job
    from roadworthy.cli.table_run import Promise, answer_table, job_of

    spec = open_spec(args, check_files=False)
    promise = Promise(_target(args), args.cheap, args.workers, args.seed)
    check_output(args)
    prepare(spec)
    batch = args.batch if args.batch is not None else spec.serving.most_rows
    carried = carried_over(args, spec.data.columns.id)
    job = job_of(spec, Job(args.input, args.output, "", spec.signature, carried, None, batch, args.part_rows))
    try:
        with progress("answering", args.json) as tell:
            told = answer_table(
                spec, job, promise, args.resume, lambda done, total, n: tell(done, total, f"{n:,} bought")
            )
    except KeyboardInterrupt:
        sys.stderr.write(f"stopped; go on with: {how_to_resume()}\n")
        raise
    return Outcome(told, table_text(told), 1 if told.failed else 0)


def _target(args: argparse.Namespace) -> Target:
    from roadworthy.route.cascades.fits import Target

    try:
        return Target(args.precision, args.recall, args.accuracy, args.agreement, args.delta)
    except ValueError as wrong:
        ways = "`--precision 0.9 --recall 0.9`, `--agreement 0.98` or (`fit` only) `--accuracy 0.95`"
        raise BadRequest(f"{wrong}: {ways}") from wrong


def _report(args: argparse.Namespace) -> Outcome:
    """What was promised against what audits of the served traffic show, what is in force, and what everything cost."""
    from rich.console import Group

    from roadworthy.cli.dialling import cascade_standing
    from roadworthy.core.measure import Verdict
    from roadworthy.cost.ledger import ledger, right_by
    from roadworthy.cost.ledger_text import ledger_text
    from roadworthy.route.cascades.audit import Audited, verified
    from roadworthy.route.cascades.standing import standing_text

    spec = open_spec(args, check_files=False)
    release, files, records = served(spec, args)
    fit, audit = _fitted(release, files)
    names = tuple(member.name for member in release.members)
    verdicts: tuple[Verdict, ...] = ()
    if audit:
        rows = Audited.of_records(records, spec.application.output, names[-1], audit)
        verdicts = verified(rows, fit.target)
    with existing_state(spec) as state:
        stands = cascade_standing(state, spec.application.name, release, files, spec.root)
    bill = ledger(records, names, right_by(spec.application.output), fit.delegation.value)
    said = [f"{v.decision}: {v.because}" for v in verdicts] or ["nothing is audited: set `audit: 0.02` of the cascade"]
    body = {"release": release.digest, "promised": fit.target, "verdicts": verdicts, "dial": stands, "ledger": bill}
    shown = Group(f"promised: {fit.target.words}", *said, standing_text(stands), "", ledger_text(bill))
    return Outcome(body, shown, EXIT_CODES[worst(verdicts)])


def _fitted(release: Release, files: Mapping[str, Path]) -> tuple[CascadeFit, float]:
    """The fit that a release answers by, and the share of kept rows that it audits."""
    import msgspec

    from roadworthy.app.mixture import POLICY
    from roadworthy.core.catalog import read_plan
    from roadworthy.route.cascades.fits import CascadeFit

    name, settings = read_plan(release.policy) if release.policy else ("", {})
    if name != "cascade" or POLICY not in files:
        raise SpecError(
            f"release {release.digest[:12]} answers by no fitted cascade: run `roadworthy cascade fit`, name its file "
            f"as `model.policy_file`, and release"
        )
    return msgspec.json.decode(files[POLICY].read_bytes(), type=CascadeFit), float(settings.get("audit", 0.0))
