"""Release a candidate step by step: plan, start, status, watch, pause, resume, promote, abort, rollback, report."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from roadworthy.cli.opening import existing_state, open_spec, project_option, registry_of, state_option
from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import BadRequest, Missing

if TYPE_CHECKING:
    from roadworthy.core.spec import Spec
    from roadworthy.registry.releases import Registry
    from roadworthy.rollout.controller import Controller
    from roadworthy.store.state import State

EXAMPLE = "roadworthy rollout start 3f2a9c --project examples/flights --why 'retrained on June'"
EXIT = {"promoted": 0, "running": 3, "rolled_back": 1, "aborted": 1}


def options(parser: argparse.ArgumentParser) -> None:
    """What to do, with which release, and why."""
    project_option(parser)
    state_option(parser)
    parser.add_argument("action", choices=list(ACTIONS))
    parser.add_argument("release", nargs="?", default="", help="the candidate's digest, or enough of it (start)")
    parser.add_argument("--by", default="cli", help="who does it, for the history")
    parser.add_argument("--why", default="", help="the reason, for the history")
    override = "why a release that was rolled back, or a time of freeze, may be tried all the same"
    parser.add_argument("--override", default="", help=override)
    parser.add_argument("--at", type=float, default=None, help="the time of the deployment's clock, Unix seconds (now)")
    parser.add_argument("--page", type=Path, default=None, help="write the view, or the report, into this file too")
    parser.add_argument("--looks", type=int, default=20, help="points of each signal's course (20; 0: none)")
    parser.add_argument("--days", type=float, default=14.0, help="how many of the last days to plan from (14)")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two views (watch, 5)")
    stated = "to plan a first rollout: requests an hour, share of errors, mean of the labels"
    for name in ("requests-per-hour", "error-rate", "base-rate"):
        parser.add_argument(f"--{name}", type=float, default=None, help=stated)


class Asked(NamedTuple):
    """What an action works with; `at` is the deployment's clock."""

    args: argparse.Namespace
    spec: Spec
    state: State
    registry: Registry
    controller: Controller
    name: str
    at: float


def run(args: argparse.Namespace) -> Outcome:
    """The rollout as it stands; exit code 0 promoted, 1 taken back, 3 still running."""
    from roadworthy.cli.flows import controller_of
    from roadworthy.cli.incidents import telling
    from roadworthy.cli.spans import clock_of

    spec = open_spec(args, check_files=False)
    with existing_state(spec, args.state) as state:
        registry = registry_of(spec, state)
        controller = controller_of(spec, state, registry, telling(spec, state, registry))
        replayed = args.action in ("plan", "status", "watch", "report")
        at = args.at if args.at is not None else clock_of(state) if replayed else time.time()
        return ACTIONS[args.action](Asked(args, spec, state, registry, controller, spec.application.name, at))


def _plan(asked: Asked) -> Outcome:
    from roadworthy.cli.rollouts import expected_of
    from roadworthy.rollout.control.hierarchy import gates_of
    from roadworthy.rollout.planning.plan_text import plan_text
    from roadworthy.rollout.planning.planning import plan_rollout

    plan = asked.spec.rollout
    args = asked.args
    stated = (args.requests_per_hour, args.error_rate, args.base_rate)
    output = asked.spec.application.output
    rows = expected_of(asked.state, asked.registry, asked.name, asked.at, args.days, stated, output)
    found = plan_rollout(plan, gates_of(plan, asked.spec.root, output=output), rows, asked.at)
    return Outcome(found, plan_text(found))


def _start(asked: Asked) -> Outcome:
    if not asked.args.release:
        raise BadRequest("which release? `roadworthy rollout start DIGEST`; `roadworthy releases` lists them")
    candidate = asked.registry.get(asked.args.release).digest
    plan, override = asked.spec.rollout, asked.args.override
    asked.controller.start(asked.name, candidate, plan, asked.at, asked.args.by, override=override)
    return _shown(asked)


def _status(asked: Asked) -> Outcome:
    asked.controller.check_unchanged(asked.name, asked.spec.rollout)
    return _shown(asked)


def _watch(asked: Asked) -> Outcome:
    from rich.console import Console
    from rich.live import Live

    from roadworthy.cli.rollouts import view_now
    from roadworthy.rollout.views.view_text import view_text

    with Live(console=Console(), screen=True, auto_refresh=False) as screen:
        while asked.controller.status(asked.name).status == "running":
            screen.update(view_text(view_now(asked.spec, asked.state, asked.controller, asked.at)), refresh=True)
            time.sleep(asked.args.every)
            asked = asked._replace(at=asked.at + asked.args.every)
    return _shown(asked)


def _by_hand(asked: Asked) -> Outcome:
    act = getattr(asked.controller, asked.args.action)
    act(asked.name, asked.at, asked.args.by, asked.args.why or f"{asked.args.action} by hand")
    return _shown(asked)


def _promote(asked: Asked) -> Outcome:
    why = asked.args.why or "promote by hand"
    asked.controller.promote(asked.name, asked.at, asked.args.by, why, asked.args.override)
    return _shown(asked)


def _rollback(asked: Asked) -> Outcome:
    change = asked.controller.rollback(asked.name, asked.at, asked.args.by, asked.args.why)
    return Outcome(change, f"stable of {asked.name} is {(change.digest or '')[:12]} again: {change.why}")


def _report(asked: Asked) -> Outcome:
    """The post-incident report of the newest incident, or of the release that is named."""
    from roadworthy.cli.incidents import report_of

    wanted = asked.args.release
    found = [i for i in asked.controller.incidents(asked.name) if i.candidate.startswith(wanted) or i.id == wanted]
    if not found:
        raise Missing(f"{asked.name!r} has no incident{f' of {wanted!r}' if wanted else ''}: nothing was taken back")
    text = report_of(asked.spec, asked.state, asked.registry, found[-1])
    if asked.args.page is not None:
        asked.args.page.write_text(text, encoding="utf-8")
    return Outcome(found[-1], text)


def _shown(asked: Asked) -> Outcome:
    import msgspec

    from roadworthy.cli.rollouts import view_now
    from roadworthy.rollout.views.view_text import view_text

    view = view_now(asked.spec, asked.state, asked.controller, asked.at, asked.args.looks)
    if asked.args.page is not None:
        from roadworthy.ui.rollout_fragment import rollout_page

        asked.args.page.write_text(rollout_page(view), encoding="utf-8")
    stage = asked.controller.status(asked.name).stage
    return Outcome({**msgspec.to_builtins(view), "stage": stage}, view_text(view), EXIT[view.status])


ACTIONS: dict[str, Callable[[Asked], Outcome]] = {
    "plan": _plan,
    "start": _start,
    "status": _status,
    "watch": _watch,
    "pause": _by_hand,
    "resume": _by_hand,
    "promote": _promote,
    "abort": _by_hand,
    "rollback": _rollback,
    "report": _report,
}
