"""Hands alerts to Prometheus' Alertmanager, which groups, silences and routes them with those of other services."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from roadworthy.observe.alerting.alert_words import alert_text
from roadworthy.observe.alerting.posting import check_url, post_json
from roadworthy.observe.alerting.secrets import revealed
from roadworthy.observe.base import sink

if TYPE_CHECKING:
    from roadworthy.observe.alert import Alert


@sink("alertmanager")
@dataclass(frozen=True)
class Alertmanager:
    """Hands an alert to Alertmanager (API v2), with labels to route by and its cause as an annotation.

    Alertmanager forgets an alert after five minutes unless told how long it lasts: an alarm that goes on is said to
    last `firing_hours`, and its end is told when it comes. `page` is the text for generatorURL.
    """

    url: str = "http://127.0.0.1:9093"
    firing_hours: float = 24.0 * 7
    page: str = ""
    timeout_seconds: float = 5.0
    severities: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_url("url", self.url)

    @classmethod
    def example(cls, host: str, port: int, secret: str) -> Alertmanager:
        """One that tells a receiver on this port; what the laws ask."""
        return cls(f"http://{host}:{port}", timeout_seconds=0.5)

    def __call__(self, alert: Alert) -> None:
        """Raises OSError when nobody answers, or answers with an error."""
        post_json(f"{revealed(self.url).rstrip('/')}/api/v2/alerts", [self._posted(alert)], self.timeout_seconds)

    def _posted(self, alert: Alert) -> dict[str, Any]:
        ends = alert.at if alert.status == "resolved" else alert.at + 3600 * self.firing_hours
        tag, _, value = alert.where.partition("=")
        labels = {
            "alertname": alert.detector,
            "deployment": alert.deployment,
            "severity": alert.severity,
            **({_label(tag): value} if tag else {}),
        }
        notes = {"summary": alert.because, "description": alert_text(alert), "runbook_url": alert.runbook}
        return {
            "labels": labels,
            "annotations": {name: text for name, text in notes.items() if text},
            "startsAt": _time(alert.first_at),
            "endsAt": _time(ends),
            "generatorURL": self.page or alert.runbook,
        }


def _label(tag: str) -> str:
    """The tag as a name that Prometheus allows."""
    name = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in tag)
    return name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
