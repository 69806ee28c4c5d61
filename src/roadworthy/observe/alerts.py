"""Alerts: an alarm is told once when it begins, again after a quiet time, and once when it ends; all of it is kept."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.store.events import read_events, write_event

if TYPE_CHECKING:
    from sqlalchemy import Engine

DAY = 86_400.0


class Alert(Struct, frozen=True, omit_defaults=True):
    """What a detector says about a deployment at `at`: an alarm that began (`raised`), goes on or is over.

    `since` and `until` bound the rows that it looked at, `first_at` is when the alarm began and `told_at` when
    somebody was last told of it (Unix seconds all).
    """

    deployment: str
    detector: str
    status: Literal["raised", "again", "resolved"]
    at: float
    because: str
    since: float
    until: float
    first_at: float
    told_at: float
    release: str = ""
    evidence: tuple[Measurement, ...] = ()

    @property
    def key(self) -> str:
        """Alerts with one key are one alarm: `deployment/detector`."""
        return f"{self.deployment}/{self.detector}"

    def __str__(self) -> str:
        return f"{self.key} {self.status}: {self.because}"


Sink = Callable[[Alert], None]


def alert_of(verdict: Verdict, seen: Alert, before: Alert | None, quiet_days: float) -> Alert | None:
    """The alert that follows from a verdict, given the one that is open; None when there is nothing to say.

    `seen` is what the alert would be if it were the first. Waiting ends no alarm.
    """
    if verdict.decision == "fail" and before is None:
        return seen
    if verdict.decision == "fail" and before is not None:
        told = seen.at if seen.at - before.told_at >= quiet_days * DAY else before.told_at
        return replace(seen, status="again", first_at=before.first_at, told_at=told)
    if verdict.decision == "pass" and before is not None:
        return replace(seen, status="resolved", first_at=before.first_at)
    return None


def open_alerts(engine: Engine, deployment: str) -> dict[str, Alert]:
    """The alarms that are on, by detector."""
    latest = {alert.detector: alert for alert in history(engine, deployment)}
    return {name: alert for name, alert in latest.items() if alert.status != "resolved"}


def history(engine: Engine, deployment: str) -> list[Alert]:
    """Every alert of a deployment, oldest first."""
    found = [msgspec.convert(event.data, Alert) for event in read_events(engine, kind="alert")]
    return [alert for alert in found if alert.deployment == deployment]


def raised_since(engine: Engine, deployment: str, since: float) -> tuple[str, ...]:
    """The detectors whose alarm began or went on after `since`: what `learn.retrain.due` asks for."""
    later = [a for a in history(engine, deployment) if a.at > since and a.status != "resolved"]
    return tuple(sorted({alert.detector for alert in later}))


def keep(engine: Engine, alerts: Iterable[Alert], sinks: Iterable[Sink] = ()) -> None:
    """Write the alerts to the events, then tell the sinks those that are due.

    A sink that cannot be reached leaves an `alert_undelivered` event with the reason, and stops nobody.
    """
    sinks = tuple(sinks)
    for alert in alerts:
        write_event(engine, alert.at, "alert", alert.key, msgspec.to_builtins(alert))
        for sink in sinks if alert.told_at == alert.at else ():
            try:
                sink(alert)
            except (OSError, http.client.HTTPException) as wrong:
                lost: Mapping[str, str] = {"sink": repr(sink), "error": f"{type(wrong).__name__}: {wrong}"}
                write_event(engine, alert.at, "alert_undelivered", alert.key, lost)


@dataclass(frozen=True)
class Webhook:
    """Posts an alert as JSON to a URL; `text` in it is a sentence, which Slack and Mattermost show."""

    url: str
    timeout_seconds: float = 5.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"`webhook` must start with http:// or https://, got {self.url!r}")

    def __call__(self, alert: Alert) -> None:
        """Raises OSError when nobody answers, or answers with an error."""
        body = msgspec.json.encode({**msgspec.to_builtins(alert), "key": alert.key, "text": str(alert)})
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=self.timeout_seconds):
            pass
