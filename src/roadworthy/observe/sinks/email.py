"""Sends alerts by e-mail, as text and as a page with the cause table."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from hashlib import sha256
from typing import TYPE_CHECKING

from roadworthy.observe.alerting.alert_words import alert_html, alert_text, headline
from roadworthy.observe.alerting.secrets import check_secret, revealed
from roadworthy.observe.base import sink

if TYPE_CHECKING:
    from roadworthy.observe.alert import Alert


@sink("email")
@dataclass(frozen=True)
class Email:
    """Sends an alert by e-mail; the messages of one alarm are one thread.

    `starttls` encrypts, and checks the server's certificate. `password` names a variable of the environment.
    """

    to: tuple[str, ...]
    sender: str = "roadworthy@localhost"
    host: str = "127.0.0.1"
    port: int = 25
    starttls: bool = False
    user: str = ""
    password: str = ""
    timeout_seconds: float = 10.0
    severities: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_secret("password", self.password)
        if not self.to or not all("@" in address for address in self.to):
            raise ValueError(f"`to` lists addresses such as ops@example.org, got {self.to!r}")

    @classmethod
    def example(cls, host: str, port: int, secret: str) -> Email:
        """One that tells a receiver on this port, its password being in the variable `secret`; what the laws ask."""
        password = f"env:{secret}"
        return cls(("ops@example.org",), host=host, port=port, user="me", password=password, timeout_seconds=0.5)

    def __call__(self, alert: Alert) -> None:
        """Raises OSError (of which SMTPException is one) when the server does not take it."""
        message = self._message(alert)
        with smtplib.SMTP(self.host, self.port, timeout=self.timeout_seconds) as server:
            if self.starttls:
                server.starttls(context=ssl.create_default_context())
            if self.user:
                server.login(self.user, revealed(self.password))
            server.send_message(message)

    def _message(self, alert: Alert) -> EmailMessage:
        message = EmailMessage()
        # A line break in a header is an error, and could be one in a tag that somebody sent.
        message["Subject"] = " ".join(f"{headline(alert)}: {alert.because}".split())[:200]
        message["From"], message["To"] = self.sender, ", ".join(self.to)
        message["Date"] = formatdate(alert.at)
        domain = self.sender.rpartition("@")[2]
        thread = sha256(f"{alert.key} {alert.first_at}".encode()).hexdigest()[:32]
        message["Message-ID"] = f"<{thread}.{alert.at:.0f}.{alert.status}@{domain}>"
        message["References"] = f"<{thread}@{domain}>"
        message.set_content(alert_text(alert))
        message.add_alternative(alert_html(alert), subtype="html")
        return message
