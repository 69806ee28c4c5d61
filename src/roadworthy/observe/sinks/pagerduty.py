"""Wakes somebody through PagerDuty's Events API v2."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from roadworthy.observe.alerting.alert_words import alert_text
from roadworthy.observe.alerting.posting import check_url, post_json
from roadworthy.observe.alerting.secrets import check_secret, revealed
from roadworthy.observe.base import sink

if TYPE_CHECKING:
    from roadworthy.observe.alert import Alert

# The limits of the API.
MOST_KEY, MOST_SUMMARY = 255, 1024
_ACTIONS = {"raised": "trigger", "again": "trigger", "acknowledged": "acknowledge", "resolved": "resolve"}
_SEVERITIES = {"page": "critical", "ticket": "warning"}


@sink("pagerduty")
@dataclass(frozen=True)
class PagerDuty:
    """Triggers, acknowledges and resolves an incident of PagerDuty, one for each alarm.

    `key` names the variable of the environment that holds the integration's routing key.
    """

    key: str = "env:PAGERDUTY_KEY"
    url: str = "https://events.pagerduty.com/v2/enqueue"
    source: str = "roadworthy"
    timeout_seconds: float = 5.0
    severities: tuple[str, ...] = ("page",)
    deployments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_secret("key", self.key)
        check_url("url", self.url)

    @classmethod
    def example(cls, host: str, port: int, secret: str) -> PagerDuty:
        """One that tells a receiver on this port, its key being in the variable `secret`; what the laws ask."""
        return cls(f"env:{secret}", f"http://{host}:{port}/", timeout_seconds=0.5)

    def __call__(self, alert: Alert) -> None:
        """Raises OSError when nobody answers, or answers with an error."""
        post_json(self.url, self._posted(alert), self.timeout_seconds)

    def _posted(self, alert: Alert) -> dict[str, Any]:
        event: dict[str, Any] = {
            "routing_key": revealed(self.key),
            "event_action": _ACTIONS[alert.status],
            "dedup_key": _short_key(f"{self.source}/{alert.key}"),
        }
        if event["event_action"] != "trigger":
            return event
        details = {"told": alert_text(alert), "first_at": _time(alert.first_at), "also": list(alert.also)}
        event["payload"] = {
            "summary": f"{alert.key}: {alert.because}"[:MOST_SUMMARY],
            "source": self.source,
            "severity": _SEVERITIES[alert.severity],
            "timestamp": _time(alert.at),
            "component": alert.deployment,
            "group": alert.where or alert.deployment,
            "class": alert.detector,
            "custom_details": details,
        }
        return event | ({"links": [{"href": alert.runbook, "text": "runbook"}]} if alert.runbook else {})


def _short_key(key: str) -> str:
    """The key, its end being a digest where the API would cut it."""
    if len(key) <= MOST_KEY:
        return key
    digest = sha256(key.encode()).hexdigest()
    return key[: MOST_KEY - len(digest)] + digest


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
