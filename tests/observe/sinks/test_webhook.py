from __future__ import annotations

import pytest

from roadworthy.core.errors import Denied
from roadworthy.observe.sinks.webhook import Webhook
from roadworthy.testing.sinks import alert


def test_it_posts_the_alert_and_words_for_a_chat(inbox):
    Webhook(f"{inbox.url}/hook")(alert())
    ((path, body),) = inbox.posted
    assert path == "/hook"
    assert (body["key"], body["severity"], body["runbook"]) == (
        "flights/slo-availability",
        "page",
        "https://runbooks.example.org/slo-availability",
    )
    assert body["cause"]["rows"][0] == ["tenant=<acme>", "81 %"]
    assert "tenant=<acme>  81 %" in body["text"]


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_an_error_is_an_oserror(inbox, status):
    inbox.status = status
    with pytest.raises(OSError, match=str(status)):
        Webhook(inbox.url)(alert())


def test_a_secret_address_comes_from_the_environment(inbox, monkeypatch):
    monkeypatch.setenv("CHAT_URL", f"{inbox.url}/secret")
    hook = Webhook("env:CHAT_URL")
    hook(alert())
    assert inbox.posted[0][0] == "/secret"
    assert "secret" not in repr(hook)
    monkeypatch.delenv("CHAT_URL")
    with pytest.raises(Denied, match="the environment has no 'CHAT_URL'"):
        hook(alert())
