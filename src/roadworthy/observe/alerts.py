"""Alerts: an alarm is told once when it begins, again after a quiet time, and once when it ends; all of it is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from roadworthy.core.errors import Missing, unknown
from roadworthy.core.measure import Verdict
from roadworthy.observe.alert import DAY, NEVER, Alert, CauseTable, Severity, Sink, Status
from roadworthy.observe.alerting.delivery import deliver, write_with_dues
from roadworthy.observe.sinks.webhook import Webhook
from roadworthy.store.events import read_events

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = [
    "DAY",
    "NEVER",
    "Alert",
    "CauseTable",
    "Severity",
    "Sink",
    "Status",
    "Webhook",
    "acknowledge",
    "alert_of",
    "history",
    "keep",
    "open_alerts",
    "raised_since",
    "resolve",
]


def alert_of(verdict: Verdict, seen: Alert, before: Alert | None, quiet_days: float) -> Alert | None:
    """The alert that follows from a verdict, given the one that is open; None when there is nothing to say.

    `seen` is what the alert would be if it were the first. Waiting ends no alarm. Who acknowledged one is not told
    again while it goes on; who was never told of one need not hear that it is over.
    """
    if verdict.decision == "fail" and before is None:
        return seen
    if verdict.decision == "fail" and before is not None:
        quiet = before.acknowledged_by or (before.told_at != NEVER and seen.at - before.told_at < quiet_days * DAY)
        told, by = before.told_at if quiet else seen.at, before.acknowledged_by
        return replace(seen, status="again", first_at=before.first_at, told_at=told, acknowledged_by=by)
    if verdict.decision == "pass" and before is not None:
        told = NEVER if before.told_at == NEVER else seen.at
        return replace(seen, status="resolved", first_at=before.first_at, told_at=told)
    return None


def open_alerts(engine: Engine, deployment: str) -> dict[str, Alert]:
    """The alarms that are on, by detector."""
    latest = {alert.detector: alert for alert in history(engine, deployment)}
    return {name: alert for name, alert in latest.items() if alert.status != "resolved"}


def history(engine: Engine, deployment: str, since: float | None = None) -> list[Alert]:
    """Every alert of a deployment, oldest first; those from `since` on, where that is given."""
    found = [msgspec.convert(event.data, Alert) for event in read_events(engine, kind="alert", since=since)]
    return [alert for alert in found if alert.deployment == deployment]


def raised_since(engine: Engine, deployment: str, since: float) -> tuple[str, ...]:
    """The detectors whose alarm began or went on after `since`: what `learn.retrain.due` asks for."""
    later = [a for a in history(engine, deployment) if a.at > since and a.status in ("raised", "again")]
    return tuple(sorted({alert.detector for alert in later}))


def keep(engine: Engine, alerts: Iterable[Alert], sinks: Iterable[Sink] = ()) -> None:
    """Write the alerts to the events, then tell the sinks those that are due.

    A sink that cannot be reached leaves an `alert_undelivered` event with the reason, and stops nobody; `deliver`
    tells it later.
    """
    sinks = tuple(sinks)
    alerts = tuple(alerts)
    for alert in alerts:
        write_with_dues(engine, alert, sinks)
    if alerts and sinks:
        times = [alert.at for alert in alerts]
        deliver(engine, sinks, max(times), min(times))


def acknowledge(engine: Engine, deployment: str, name: str, now: float, by: str, sinks: Iterable[Sink] = ()) -> Alert:
    """Somebody looks after an open alarm: it is told no more until it ends. Raises Missing where it is not open."""
    before = _open(engine, deployment, name)
    told = replace(before, status="acknowledged", at=now, told_at=now, acknowledged_by=by, silenced=0, grouped_under="")
    keep(engine, [told], sinks)
    return told


def resolve(
    engine: Engine, deployment: str, name: str, now: float, by: str, why: str = "", sinks: Iterable[Sink] = ()
) -> Alert:
    """Somebody calls an open alarm over; where its rule still fails at its next look, it is raised anew."""
    before = _open(engine, deployment, name)
    because = f"called over by {by}{f': {why}' if why else ''}"
    told = NEVER if before.told_at == NEVER else now
    ended = replace(before, status="resolved", at=now, told_at=told, because=because)
    keep(engine, [ended], sinks)
    return ended


def _open(engine: Engine, deployment: str, name: str) -> Alert:
    there = open_alerts(engine, deployment)
    if name not in there:
        raise Missing(f"{unknown('open alarm', name, there)}: `roadworthy alerts` lists them")
    return there[name]
