"""Tells webhooks of jobs that ended: which URLs may be told, how it is signed, sent, and tried again.

It does not know what a job is; the body to send is given to it as bytes. Signing follows standardwebhooks.com.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from typing import NamedTuple
from urllib.parse import urlsplit

from roadworthy.core.errors import BadRequest, SpecError
from roadworthy.serve.queue import Notice, Sent

MOST_URL = 2000

_PORTS = {"http": 80, "https": 443}
# Dots that browsers and proxies would resolve, and separators that they read differently: nothing of this is needed.
_ODD = re.compile(r"[^\x21-\x7e]|[\\@#]|%(?:2e|2f|5c|00)|/\.{1,2}(?:[/?;]|$)", re.IGNORECASE)


class Target(NamedTuple):
    """A URL in parts, such that two that mean the same are equal. `path` includes the query."""

    scheme: str
    host: str
    port: int
    path: str


def read_target(url: str) -> Target:
    """The parts of a URL. Raises BadRequest for one that is no plain http(s) URL."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), (parts.hostname or "").lower().rstrip("."), parts.port
    except ValueError as wrong:
        raise BadRequest(f"the webhook {url!r:.200} is not a URL: {wrong}") from wrong
    if scheme not in _PORTS or not host or _ODD.search(url) or len(url) > MOST_URL:
        allowed = "http(s)://host[:port]/path, without user, fragment, `..`, or escaped dots and slashes"
        raise BadRequest(f"the webhook {url!r:.200} is not a plain URL; allowed: {allowed}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme, host, port or _PORTS[scheme], path)


class Allowed:
    """Which URLs may be told: those that begin with one of `prefixes`, compared part by part."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        try:
            self._prefixes = [read_target(prefix) for prefix in prefixes]
        except BadRequest as wrong:
            raise SpecError(f"`webhooks`: {wrong}") from wrong
        self._said = ", ".join(map(repr, prefixes)) or "none; `serving.webhooks` lists the beginnings of allowed URLs"

    def check(self, url: str) -> None:
        """Raises BadRequest for a URL that may not be told."""
        asked = read_target(url)
        if not any(_begins(asked, prefix) for prefix in self._prefixes):
            raise BadRequest(f"the webhook {url!r:.200} may not be told; allowed beginnings: {self._said}")


def _begins(asked: Target, prefix: Target) -> bool:
    if asked[:3] != prefix[:3] or not asked.path.startswith(prefix.path):
        return False
    # `/hooks` allows `/hooks/x` and `/hooks?x`, not `/hooksecret`.
    rest = asked.path[len(prefix.path) :]
    return not rest or prefix.path.endswith("/") or rest[0] in "/?"


def sign(secret: str, id: str, at: int, body: bytes) -> str:
    """The `webhook-signature` header: HMAC-SHA256 over `id.timestamp.body`, base64, with its version.

    A secret that begins with `whsec_` is base64, any other is taken as it stands.
    """
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    digest = hmac.new(key, b"%b.%d.%b" % (id.encode(), at, body), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class Budget:
    """How many retries are allowed: a share of first attempts, as gRPC's A6 has it, and a few a second at least.

    One receiver that is down must not turn every delivery of all into ten.
    """

    def __init__(self, share: float = 0.2, per_second: float = 1.0, most: float = 10.0) -> None:
        self._share, self._per_second, self._most = share, per_second, most
        self._tokens, self._at = most, 0.0

    def first(self) -> None:
        """A first attempt earns a part of a retry."""
        self._tokens = min(self._most, self._tokens + self._share)

    def retry(self, now: float) -> bool:
        """Spend one retry, if there is one. `now` is on any clock that does not go back."""
        self._tokens = min(self._most, self._tokens + max(0.0, now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Webhooks:
    """Sends notices on threads of its own and reports each: a Courier for the Desk.

    `body_of` gives what to send for a job's id. A delivery fails unless the status is 2xx (redirects are not followed);
    it is tried `attempts` times, later each time: up to `first_seconds`, twice that, ... at most `most_seconds`.
    """

    def __init__(
        self,
        allowed: Allowed,
        body_of: Callable[[str], bytes],
        report: Callable[[Sent], None],
        secret: str,
        attempts: int = 8,
        first_seconds: float = 2.0,
        most_seconds: float = 600.0,
        timeout_seconds: float = 10.0,
        threads: int = 4,
        budget: Budget | None = None,
        now: Callable[[], float] = time.time,
        rng: Random | None = None,
    ) -> None:
        self._allowed, self._body_of, self._report, self._secret = allowed, body_of, report, secret
        self._attempts, self._first_seconds, self._most_seconds = attempts, first_seconds, most_seconds
        self._timeout_seconds, self._threads = timeout_seconds, threads
        self._budget, self._now, self._rng = budget or Budget(), now, rng or Random()
        self._pool = ThreadPoolExecutor(threads, "webhooks")
        self._lock = threading.Lock()
        self._out = 0

    @property
    def room(self) -> int:
        """Idle threads: a notice is held by the queue until one is there."""
        return self._threads - self._out

    def carry(self, notice: Notice) -> None:
        """Send on a thread, and report."""
        with self._lock:
            self._out += 1
        self._pool.submit(self._deliver, notice)

    def close(self) -> None:
        """Wait for what is on its way (blocks)."""
        self._pool.shutdown()

    def _deliver(self, notice: Notice) -> None:
        try:
            sent = self._try(notice)
        except Exception as wrong:  # a thread's error goes nowhere; the queue must know of it
            sent = self._later(notice, f"{type(wrong).__name__}: {wrong}")
        with self._lock:
            self._out -= 1
        self._report(sent)

    def _try(self, notice: Notice) -> Sent:
        if not self._affordable(notice):
            return Sent(notice.id, False, "waits: too many deliveries fail", self._now() + self._pause(1), counts=False)
        try:
            # Again, for the settings may have changed since the job was accepted.
            self._allowed.check(notice.url)
        except BadRequest as refused:
            return Sent(notice.id, False, str(refused))
        status = self._send(notice)
        if 200 <= status < 300:
            return Sent(notice.id, True)
        if status == http.client.GONE:
            return Sent(notice.id, False, "the receiver answered 410: it wants no more")
        return self._later(notice, f"the receiver answered {status}")

    def _affordable(self, notice: Notice) -> bool:
        with self._lock:
            if notice.attempt > 1:
                return self._budget.retry(time.monotonic())
            self._budget.first()
            return True

    def _later(self, notice: Notice, reason: str) -> Sent:
        if notice.attempt >= self._attempts:
            return Sent(notice.id, False, f"{reason}; given up after {notice.attempt} attempts")
        return Sent(notice.id, False, reason, self._now() + self._pause(notice.attempt))

    def _pause(self, attempt: int) -> float:
        """Exponential, with full jitter: those that failed together do not come back together."""
        most = min(self._most_seconds, self._first_seconds * 2 ** (attempt - 1))
        return self._rng.uniform(0.1 * most, most)

    def _send(self, notice: Notice) -> int:
        """The status of the answer. Raises OSError or HTTPException."""
        target, body, at = read_target(notice.url), self._body_of(notice.id), int(self._now())
        headers = {
            "content-type": "application/json",
            "user-agent": "roadworthy",
            "webhook-id": notice.id,
            "webhook-timestamp": str(at),
        }
        if self._secret:
            headers["webhook-signature"] = sign(self._secret, notice.id, at, body)
        connection = self._connect(target)
        # The timeout of a socket is that of one read: who answers a byte at a time would hold the thread for hours.
        cut = threading.Timer(2 * self._timeout_seconds, _cut, (connection,))
        cut.start()
        try:
            connection.request("POST", target.path, body, headers)
            return connection.getresponse().status
        finally:
            cut.cancel()
            connection.close()

    def _connect(self, target: Target) -> http.client.HTTPConnection:
        if target.scheme == "http":
            return http.client.HTTPConnection(target.host, target.port, timeout=self._timeout_seconds)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(target.host, target.port, timeout=self._timeout_seconds, context=context)


def _cut(connection: http.client.HTTPConnection) -> None:
    with suppress(OSError):
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
