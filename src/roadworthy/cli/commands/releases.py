"""The registry: list releases, ask what was in production when, approve, sign, hold, and collect what nobody needs."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from roadworthy.cli.opening import existing_state, open_spec, project_option, registry_of, state_option
from roadworthy.cli.outcome import Outcome
from roadworthy.cli.spans import zone_option
from roadworthy.core.errors import BadRequest

if TYPE_CHECKING:
    from roadworthy.core.spec import Spec
    from roadworthy.registry.releases import Registry
    from roadworthy.store.state import State

EXAMPLE = "roadworthy releases at '2013-07-01 03:00' --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """What to do, with which release, by whom and why."""
    project_option(parser)
    state_option(parser)
    zone_option(parser)
    parser.add_argument("action", nargs="?", choices=[*ACTIONS, "key"], default="list")
    what = "a digest (approve, sign, hold, may), a time (at), the number of a hold (lift), a new key's file (key)"
    parser.add_argument("what", nargs="?", default="", help=what)
    parser.add_argument("--by", default="cli", help="who does it, for the history")
    parser.add_argument("--why", default="", help="the reason, for the history")
    parser.add_argument("--key", type=Path, default=None, help="the private key to sign with")
    parser.add_argument("--most", type=int, default=50, help="how many of the newest are listed (50)")
    parser.add_argument("--least-hours", type=float, default=24.0, help="younger releases are not collected (24)")
    parser.add_argument("--really", action="store_true", help="collect, instead of only telling what would go")


def run(args: argparse.Namespace) -> Outcome:
    """What was asked for; every deed is written to the audit log."""
    if args.action == "key":
        return _make_key(args.what)
    spec = open_spec(args, check_files=False)
    with existing_state(spec, args.state) as state:
        return ACTIONS[args.action](args, spec, state, registry_of(spec, state))


def _list(args: argparse.Namespace, spec: Spec, state: State, registry: Registry) -> Outcome:
    from roadworthy.registry.keeping.listing import listing_text

    found = registry.listing(args.most)
    return Outcome(found, listing_text(found))


def _at(args: argparse.Namespace, spec: Spec, state: State, registry: Registry) -> Outcome:
    from roadworthy.cli.spans import clock_of
    from roadworthy.observe.root_cause.time_span import span, zone_named
    from roadworthy.registry.keeping.listing import standing_text

    if not args.what:
        raise BadRequest("what was in production when? `roadworthy releases at '2013-07-01 03:00'`, or `2h ago`")
    now = clock_of(state)
    at = now if args.what == "now" else span(args.what, "", now, zone_named(args.zone)).since
    found = registry.at(spec.application.name, at)
    return Outcome(found, standing_text(found))


def _approve(args: argparse.Namespace, spec: Spec, state: State, registry: Registry) -> Outcome:
    given = registry.approve(_digest(args), time.time(), args.by, args.why)
    return Outcome(given, f"{given.digest[:12]} approved by {given.by}: {given.why}")


def _sign(args: argparse.Namespace, spec: Spec, state: State, registry: Registry) -> Outcome:
    if args.key is None:
        raise BadRequest("with which key? `--key FILE`; `roadworthy releases key FILE` makes one")
    signed = registry.sign(_digest(args), args.key, time.time(), args.by)
    return Outcome(signed, f"{signed.digest[:12]} signed with {signed.key}")


def _may(args: argparse.Namespace, spec: Spec, state: State, registry: Registry) -> Outcome:
    from roadworthy.core.measure import EXIT_CODES, worst

    verdicts = registry.may_become_stable(spec.application.name, _digest(args))
    lines = [f"{v.decision}: {v.of}: {v.because}" for v in verdicts]
    return Outcome(verdicts, "\n".join(lines), EXIT_CODES[worst(verdicts)])


def _hold(args: argparse.Namespace, spec: Spec, state: State, registry: Registry) -> Outcome:
    if not args.what:
        held = registry.holds()
        lines = [f"{h.seq}: {h.digest[:12]} held by {h.by}: {h.why}" for h in held]
        return Outcome(held, "\n".join(lines) or "no release is held")
    made = registry.hold(args.what, time.time(), args.by, args.why)
    return Outcome(made, f"hold {made.seq} on {made.digest[:12]}: {made.why}")


def _lift(args: argparse.Namespace, spec: Spec, state: State, registry: Registry) -> Outcome:
    if not args.what.isdecimal():
        raise BadRequest(
            f"`lift` takes the number of a hold (`roadworthy releases hold` lists them), got {args.what!r}"
        )
    lifted = registry.lift(int(args.what), time.time(), args.by, args.why)
    return Outcome(lifted, f"hold {lifted.seq} on {lifted.digest[:12]} is lifted")


def _collect(args: argparse.Namespace, spec: Spec, state: State, registry: Registry) -> Outcome:
    from roadworthy.registry.keeping.listing import collected_text

    recorded = {release for release, _ in state.records.counts()}
    why = args.why or "collected by hand"
    found = registry.collect(recorded, time.time(), args.by, why, args.least_hours, dry_run=not args.really)
    return Outcome(found, collected_text(found))


def _make_key(file: str) -> Outcome:
    from roadworthy.registry.keeping.signing import make_key

    if not file:
        raise BadRequest("where to? `roadworthy releases key release-key.pem`")
    public = make_key(Path(file))
    told = f"{file} holds the private key: keep it out of the repository\n`promotion: trusted:` takes {public}"
    return Outcome({"file": file, "public": public}, told)


def _digest(args: argparse.Namespace) -> str:
    if not args.what:
        raise BadRequest(f"which release? `roadworthy releases {args.action} DIGEST`; `roadworthy releases` lists them")
    return str(args.what)


Action = Callable[[argparse.Namespace, "Spec", "State", "Registry"], Outcome]
ACTIONS: dict[str, Action] = {
    "list": _list,
    "at": _at,
    "approve": _approve,
    "sign": _sign,
    "may": _may,
    "hold": _hold,
    "lift": _lift,
    "collect": _collect,
}
