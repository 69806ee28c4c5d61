"""Posts alerts as JSON to a web address, Slack's and Mattermost's included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from roadworthy.observe.alerting.alert_words import alert_text
from roadworthy.observe.alerting.posting import check_url, post_json
from roadworthy.observe.alerting.secrets import revealed
from roadworthy.observe.base import sink

if TYPE_CHECKING:
    from roadworthy.observe.alert import Alert


@sink("webhook")
@dataclass(frozen=True)
class Webhook:
    """Posts an alert as JSON to a URL; `text` in it is what Slack and Mattermost show.

    A URL that is a secret itself, as Slack's are, is `env:NAME`. An empty setting takes every severity or deployment.
    """

    url: str
    timeout_seconds: float = 5.0
    severities: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_url("webhook", self.url)

    @classmethod
    def example(cls, host: str, port: int, secret: str) -> Webhook:
        """One that tells a receiver on this port; what the laws ask."""
        return cls(f"http://{host}:{port}/", timeout_seconds=0.5)

    def __call__(self, alert: Alert) -> None:
        """Raises OSError when nobody answers, or answers with an error."""
        body = {**msgspec.to_builtins(alert), "key": alert.key, "text": alert_text(alert)}
        post_json(revealed(self.url), body, self.timeout_seconds)
