"""Answer with a cheap model where it is sure, and send the rest on: fit the thresholds, and watch that they hold."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from roadworthy.cli.mixtures import fit_file, served
from roadworthy.cli.opening import open_spec, project_option
from roadworthy.cli.outcome import Outcome
from roadworthy.cli.spans import stretch_options
from roadworthy.core.errors import BadRequest, SpecError
from roadworthy.core.measure import EXIT_CODES, worst

if TYPE_CHECKING:
    from roadworthy.core.artifact import Release
    from roadworthy.route.cascades.fits import CascadeFit, Target

EXAMPLE = "roadworthy cascade fit --agreement 0.98 --project examples/cascade"


def options(parser: argparse.ArgumentParser) -> None:
    """What to promise, from which rows; or which stretch of traffic to look at."""
    project_option(parser)
    parser.add_argument("action", choices=("fit", "report"))
    parser.add_argument("--rows", choices=("lab", "production"), default="lab", help="the table to learn from (lab)")
    parser.add_argument("--precision", type=float, default=None, help="of the positive answers, against the last model")
    parser.add_argument("--recall", type=float, default=None, help="of the positive answers, against the last model")
    parser.add_argument("--accuracy", type=float, default=None, help="against the labels of the table")
    parser.add_argument("--agreement", type=float, default=None, help="with the last model")
    parser.add_argument("--delta", type=float, default=0.1, help="the chance that the promise fails (0.1)")
    parser.add_argument("--by-class", action="store_true", help="a threshold for each predicted class")
    parser.add_argument("--repeat", type=int, default=0, metavar="N", help="ask the last model twice about N rows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="the fit (`model.policy_file`)")
    parser.add_argument("--page", type=Path, default=None, metavar="FILE", help="the page (.roadworthy/cascade.html)")
    stretch_options(parser, 28.0)


def run(args: argparse.Namespace) -> Outcome:
    """`fit`: exit code 3 where every row must be sent on. `report`: 0 the promise holds, 1 it is broken, 3 wait."""
    return _fit(args) if args.action == "fit" else _report(args)


def _fit(args: argparse.Namespace) -> Outcome:
    import msgspec
    import numpy as np
    from rich.console import Console

    from roadworthy.cli.cascading import ask_members, fit_cascade
    from roadworthy.cli.flows import prepare, read, write_whole
    from roadworthy.route.cascades.report import report
    from roadworthy.ui.cascade_document import cascade_page

    spec = open_spec(args, check_files=False)
    target = _target(args)
    out = fit_file(spec, args.out)
    console = Console(stderr=True)
    prepare(spec, console.print)
    found = ask_members(spec, read(spec, args.rows), args.repeat, console.print)
    fit = fit_cascade(found, target, args.by_class, np.random.default_rng(args.seed))
    prices = {name: member.usd_per_1k for name, member in spec.model.members.items()}
    spec.state.mkdir(exist_ok=True)
    page = args.page or spec.state / "cascade.html"
    write_whole(out, msgspec.json.format(msgspec.json.encode(fit)))
    write_whole(page, cascade_page(fit, spec.application.name, prices).encode())
    shown = f"{report(fit)}\nfit: {out}\npage: {page}"
    return Outcome({"fit": fit, "file": str(out), "page": str(page)}, shown, 0 if fit.certified else 3)


def _target(args: argparse.Namespace) -> Target:
    from roadworthy.route.cascades.fits import Target

    try:
        return Target(args.precision, args.recall, args.accuracy, args.agreement, args.delta)
    except ValueError as wrong:
        raise BadRequest(f"{wrong}: `--precision 0.9 --recall 0.9`, `--accuracy 0.95` or `--agreement 0.98`") from wrong


def _report(args: argparse.Namespace) -> Outcome:
    """What was promised against what audits of the served traffic show, and what everything cost."""
    from rich.console import Group

    from roadworthy.core.measure import Verdict
    from roadworthy.cost.ledger import ledger, right_by
    from roadworthy.cost.ledger_text import ledger_text
    from roadworthy.route.cascades.audit import Audited, verified

    spec = open_spec(args, check_files=False)
    release, files, records = served(spec, args)
    fit, audit = _fitted(release, files)
    names = tuple(member.name for member in release.members)
    verdicts: tuple[Verdict, ...] = ()
    if audit:
        rows = Audited.of_records(records, spec.application.output, names[-1], audit)
        verdicts = verified(rows, fit.target)
    bill = ledger(records, names, right_by(spec.application.output), fit.delegation.value)
    said = [f"{v.decision}: {v.because}" for v in verdicts] or ["nothing is audited: set `audit: 0.02` of the cascade"]
    body = {"release": release.digest, "promised": fit.target, "verdicts": verdicts, "ledger": bill}
    decision = worst(verdicts)
    return Outcome(body, Group(f"promised: {fit.target.words}", *said, "", ledger_text(bill)), EXIT_CODES[decision])


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
