"""The alarms that are on, and what to do about them: silence, acknowledge, resolve; rules and a dashboard to export."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from roadworthy.cli.opening import existing_state, open_spec, project_option
from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import BadRequest, RoadworthyError

if TYPE_CHECKING:
    from roadworthy.core.spec import Spec
    from roadworthy.observe.alerting.slos import Budget
    from roadworthy.store.state import State

EXAMPLE = "roadworthy alerts silence 'rule=seasonal-*' --hours 4 --why 'load test' --project examples/flights"
ACTIONS = ("list", "history", "silence", "lift", "acknowledge", "resolve", "test", "rules", "dashboard")


def options(parser: argparse.ArgumentParser) -> None:
    """What to do, with which alarm."""
    project_option(parser)
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list")
    parser.add_argument("name", nargs="?", default="", help="an alarm, a matcher such as `rule=slo-*`, or a number")
    parser.add_argument("--hours", type=float, default=4.0, help="how long a silence holds (4)")
    parser.add_argument("--by", default="cli", help="who does it, for whoever is on call")
    parser.add_argument("--why", default="", help="the reason; a silence needs one")
    parser.add_argument("--scrape", default="", metavar="HOST:PORT", help="of `rules`: write the scrape job too")


def run(args: argparse.Namespace) -> Outcome:
    """The open alarms; exit code 1 while a page is on. `rules` is for Prometheus, `dashboard` for Grafana."""
    spec = open_spec(args, check_files=False)
    if args.action in ("rules", "dashboard"):
        return _exported(spec, args)
    with existing_state(spec) as state:
        if args.action == "list":
            return _listed(spec, state)
        doing: dict[str, Callable[[Spec, State, argparse.Namespace], Outcome]] = {
            "history": _history,
            "silence": _silence,
            "lift": _lift,
            "acknowledge": _acknowledge,
            "resolve": _resolve,
            "test": _test,
        }
        return doing[args.action](spec, state, args)


def _listed(spec: Spec, state: State) -> Outcome:
    from roadworthy.cli.spans import clock_of
    from roadworthy.observe.alerting.alert_words import alerts_text
    from roadworthy.observe.alerting.delivery import undelivered
    from roadworthy.observe.alerting.silences import silences
    from roadworthy.observe.alerting.slos import budgets_text
    from roadworthy.observe.alerts import open_alerts

    now = clock_of(state)
    found = list(open_alerts(state.engine, spec.application.name).values())
    held, late = silences(state, now), undelivered(state.engine, now)
    budgets = _budgets(spec, state, now)
    lines = [alerts_text(found), *map(str, held), *(f"not told yet: {attempt}" for attempt in late)]
    lines += [budgets_text(budgets)] if budgets else []
    body = {"open": found, "silences": held, "undelivered": late, "budgets": budgets}
    return Outcome(body, "\n".join(lines), 1 if any(alert.severity == "page" for alert in found) else 0)


def _budgets(spec: Spec, state: State, now: float) -> list[Budget]:
    from roadworthy.observe.alert import DAY
    from roadworthy.observe.alerting.slos import budget
    from roadworthy.observe.counts.rollups import series

    found = []
    for slo in spec.monitor.slos:
        tag, _, value = slo.where.partition("=")
        found.append(budget(slo, series(state, now - slo.days * DAY, now, tag=tag, value=value), now))
    return found


def _history(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    from roadworthy.observe.alerting.alert_words import alerts_text
    from roadworthy.observe.alerts import history

    found = history(state.engine, spec.application.name)
    return Outcome(found, alerts_text(found) if found else "there never was an alarm")


def _silence(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    from roadworthy.observe.alerting.silences import silence

    now = time.time()
    made = silence(state, _named(args), now, now + args.hours * 3600, args.by, args.why)
    return Outcome(made, f"{made}; `roadworthy alerts lift {made.seq}` ends it")


def _lift(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    from roadworthy.observe.alerting.silences import lift

    if not _named(args).isdigit():
        raise BadRequest(f"a silence is lifted by its number, got {args.name!r}: `roadworthy alerts` lists them")
    lift(state, int(args.name), time.time())
    return Outcome({"lifted": int(args.name)}, f"silence {args.name} is lifted")


def _acknowledge(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    from roadworthy.observe.alerting.minutes import sinks_of
    from roadworthy.observe.alerts import acknowledge

    sinks = sinks_of(spec.monitor, spec.root)
    told = acknowledge(state.engine, spec.application.name, _named(args), time.time(), args.by, sinks)
    return Outcome(told, str(told))


def _resolve(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    from roadworthy.observe.alerting.minutes import sinks_of
    from roadworthy.observe.alerts import resolve

    sinks = sinks_of(spec.monitor, spec.root)
    told = resolve(state.engine, spec.application.name, _named(args), time.time(), args.by, args.why, sinks)
    return Outcome(told, str(told))


def _test(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    """An alert to every sink that says that it is a test; what refuses it is told with the reason."""
    from roadworthy.observe.alert import Alert
    from roadworthy.observe.alerting.minutes import sinks_of

    now = time.time()
    alert = Alert(spec.application.name, "test", "raised", now, "this is a test: nothing is wrong", now, now, now, now)
    found = {}
    for sink in sinks_of(spec.monitor, spec.root):
        try:
            sink(alert)
            found[repr(sink)] = "told"
        except (OSError, RoadworthyError) as refused:
            found[repr(sink)] = f"{type(refused).__name__}: {refused}"
    if not found:
        raise BadRequest("the project file names no sink: write `sinks:` below `monitor:`")
    lines = "\n".join(f"{name}: {told}" for name, told in found.items())
    return Outcome(found, lines, 0 if set(found.values()) == {"told"} else 1)


def _exported(spec: Spec, args: argparse.Namespace) -> Outcome:
    from roadworthy.observe.export.grafana import dashboard
    from roadworthy.observe.export.prometheus_rules import rules, scrape_config

    if args.action == "dashboard":
        text = dashboard(spec).decode()
    else:
        text = (scrape_config(spec, args.scrape) if args.scrape else rules(spec)).decode()
    return Outcome({args.action: text}, text)


def _named(args: argparse.Namespace) -> str:
    if not args.name:
        raise BadRequest(f"which one? `roadworthy alerts {args.action} NAME`; `roadworthy alerts` lists them")
    return str(args.name)
