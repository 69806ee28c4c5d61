"""Webhooks: which URLs may be told, how the message is signed, and what happens when nobody listens."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from random import Random
from threading import Thread
from typing import Any

import pytest

from roadworthy.core.errors import BadRequest, SpecError
from roadworthy.serve.queue import Notice, Sent
from roadworthy.serve.webhooks import Allowed, Budget, Webhooks, sign

PREFIXES = ["https://good.test/hooks", "http://10.0.0.1:8080/", "https://sub.good.test"]


@pytest.mark.parametrize(
    "url",
    [
        "https://good.test/hooks",
        "https://good.test/hooks/x?y=1",
        "https://good.test/hooks?y=1",
        "HTTPS://GOOD.test:443/hooks/x",
        "http://10.0.0.1:8080/any",
        "https://sub.good.test/any",
        "https://sub.good.test",
    ],
)
def test_what_begins_with_an_allowed_prefix_may_be_told(url):
    Allowed(PREFIXES).check(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://good.test/hooksecret",
        "https://good.test/",
        "http://good.test/hooks",
        "https://good.test:444/hooks",
        "https://good.test.evil.test/hooks",
        "https://good.test@evil.test/hooks",
        "https://evil.test/https://good.test/hooks",
        "https://evil.test#https://good.test/hooks",
        "https://good.test/hooks/../admin",
        "https://good.test/hooks/%2e%2e/admin",
        "https://good.test/hooks/..;/admin",
        "https://good.test\\@evil.test/hooks",
        "https://good.test/hooks\r\nhost: evil",
        "https://good.test/hooks x",
        "http://10.0.0.1:80800/any",
        "http://10.0.0.1/any",
        "http://[::1/any",
        "file:///etc/passwd",
        "gopher://10.0.0.1:8080/",
        "https:///hooks",
        "//good.test/hooks",
        "https://good.test/hooks/" + "x" * 2000,
        "",
    ],
)
def test_nothing_else_may_be_told(url):
    with pytest.raises(BadRequest, match="webhook"):
        Allowed(PREFIXES).check(url)


def test_nobody_may_be_told_where_nothing_is_allowed():
    with pytest.raises(BadRequest, match=r"serving\.webhooks"):
        Allowed([]).check("https://good.test/")


def test_a_prefix_that_is_no_url_is_an_error_of_the_project_file():
    with pytest.raises(SpecError, match="'ftp://x'"):
        Allowed(["ftp://x"])


def test_the_signature_is_that_of_standard_webhooks():
    # The example of the specification (standardwebhooks.com, "Signature scheme").
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    signed = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign("plain", "a", 1, b"") != sign("other", "a", 1, b"")


def test_a_budget_allows_retries_as_a_share_of_first_attempts_and_some_each_second():
    budget = Budget(share=0.5, per_second=2.0, most=3.0)
    assert [budget.retry(0.0) for _ in range(4)] == [True, True, True, False]
    budget.first()
    budget.first()
    assert [budget.retry(0.0) for _ in range(2)] == [True, False]
    assert [budget.retry(1.0) for _ in range(3)] == [True, True, False]
    assert [budget.retry(1000.0) for _ in range(4)] == [True, True, True, False]


class _Receiver(BaseHTTPRequestHandler):
    status = 200
    seen: list[str]

    def do_POST(self) -> None:
        self.seen.append(self.path)
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.status)
        if 300 <= self.status < 400:
            self.send_header("location", "/elsewhere")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 a name of http.server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Any]:
    """A receiver's class: set its `status`, look at what it has `seen`, tell its `url`."""
    kind = type("Receiver", (_Receiver,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        kind.url = f"http://127.0.0.1:{server.server_port}/hooks"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield kind
        server.shutdown()
        thread.join()


def carried(url: str, *attempts: int, **settings: Any) -> list[Sent]:
    """What is reported of a notice at each of these attempts."""
    reported: Queue[Sent] = Queue()
    webhooks = Webhooks(
        Allowed(["http://127.0.0.1:" + url.split(":")[2].split("/")[0]]),
        lambda id: b"{}",
        reported.put,
        "secret",
        now=lambda: 100.0,
        rng=Random(1),
        **settings,
    )
    found = []
    for attempt in attempts:
        webhooks.carry(Notice("job", url, attempt))
        found.append(reported.get(timeout=20))
    assert webhooks.room == 4
    webhooks.close()
    return found


def test_a_receiver_that_answers_2xx_is_told_once(receiver):
    assert carried(receiver.url + "?a=b", 1) == [Sent("job", True)]
    assert receiver.seen == ["/hooks?a=b"]


def test_a_failing_receiver_is_told_later_and_later_and_then_given_up(receiver):
    receiver.status = 500
    first, second, last = carried(receiver.url, 1, 2, 3, attempts=3, first_seconds=10.0)
    assert first.reason == "the receiver answered 500"
    assert 101.0 <= first.again_at <= 110.0
    assert 102.0 <= second.again_at <= 120.0
    assert (last.again_at, last.reason) == (None, "the receiver answered 500; given up after 3 attempts")


def test_a_redirect_is_a_failure_and_is_not_followed(receiver):
    receiver.status = 307
    (sent,) = carried(receiver.url, 1)
    assert (sent.delivered, sent.reason) == (False, "the receiver answered 307")
    assert receiver.seen == ["/hooks"]


def test_a_receiver_that_is_gone_for_good_is_not_asked_again(receiver):
    receiver.status = 410
    (sent,) = carried(receiver.url, 1)
    assert (sent.delivered, sent.again_at) == (False, None)


def test_nobody_listening_and_nobody_answering_are_reasons_too():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        (mute,) = carried(f"http://127.0.0.1:{port}/", 1, timeout_seconds=0.05)
    (closed,) = carried(f"http://127.0.0.1:{port}/", 1)
    assert "timed out" in mute.reason
    assert "refused" in closed.reason
    assert mute.again_at > 100.0


class _Dripping(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        with suppress(OSError):
            while True:
                self.wfile.write(b"H")
                time.sleep(0.02)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_a_receiver_that_answers_a_byte_at_a_time_holds_nobody_for_long():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Dripping) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        (sent,) = carried(f"http://127.0.0.1:{server.server_port}/", 1, timeout_seconds=0.2)
        server.shutdown()
        thread.join()
    assert not sent.delivered


def test_without_budget_a_retry_waits_and_is_no_attempt(receiver):
    empty = Budget(share=0.0, per_second=0.0, most=0.0)
    first, second = carried(receiver.url, 1, 2, budget=empty)
    assert first.delivered
    assert (second.delivered, second.counts) == (False, False)
    assert second.again_at > 100.0
    assert receiver.seen == ["/hooks"]


def test_a_url_that_is_allowed_no_longer_is_given_up_unasked(receiver):
    reported: Queue[Sent] = Queue()
    webhooks = Webhooks(Allowed(["http://127.0.0.1:1/"]), lambda id: b"{}", reported.put, "")
    webhooks.carry(Notice("job", receiver.url, 1))
    sent = reported.get(timeout=20)
    webhooks.close()
    assert (sent.delivered, sent.again_at) == (False, None)
    assert "may not be told" in sent.reason
    assert receiver.seen == []
