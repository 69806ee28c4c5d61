from __future__ import annotations

import email
import email.policy
import smtplib

import pytest
from msgspec.structs import replace

from roadworthy.core.errors import SpecError
from roadworthy.observe.sinks.email import Email
from roadworthy.testing.sinks import alert


@pytest.fixture
def mailer(post):
    return Email(("ops@example.org", "me@example.org"), port=post.server_address[1], timeout_seconds=5.0)


def letter(post, number=0):
    return email.message_from_bytes(post.letters[number][1], policy=email.policy.default)


def test_it_sends_text_and_a_page_with_the_cause_table(post, mailer):
    mailer(alert())
    assert post.letters[0][0] == ["<ops@example.org>", "<me@example.org>"]
    message = letter(post)
    plain, page = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "tenant=<acme>  81 %" in plain
    assert "<td>tenant=&lt;acme&gt;</td><td>81 %</td>" in page
    assert '<a href="https://runbooks.example.org/slo-availability">' in page


def test_nobody_can_add_a_header_by_a_line_break(post, mailer):
    mailer(alert())
    message = letter(post)
    assert message["Bcc"] is None
    assert message["Subject"].startswith("[page] ALARM flights/slo-availability (tenant=acme): availability")


def test_the_messages_of_one_alarm_are_one_thread(post, mailer):
    mailer(alert())
    mailer(replace(alert("resolved"), at=alert().at + 600))
    first, second = letter(post), letter(post, 1)
    assert first["References"] == second["References"]
    assert first["Message-ID"] != second["Message-ID"]


def test_the_password_comes_from_the_environment(post, mailer, monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret")
    Email(mailer.to, port=mailer.port, user="me", password="env:MAIL_PASSWORD")(alert())
    assert post.logins == [["me", "s3cret"]]
    with pytest.raises(SpecError, match="is a secret"):
        Email(mailer.to, password="s3cret")


def test_a_server_that_takes_no_letter_is_an_oserror(post, mailer):
    post.refuse = True
    with pytest.raises(OSError) as refused:
        mailer(alert())
    assert isinstance(refused.value, smtplib.SMTPRecipientsRefused)


def test_encryption_that_the_server_does_not_have_is_an_oserror(post, mailer):
    with pytest.raises(OSError, match="STARTTLS"):
        Email(mailer.to, port=mailer.port, starttls=True)(alert())
    assert post.letters == []


@pytest.mark.parametrize("to", [(), ("nobody",)])
def test_addresses_are_needed(to):
    with pytest.raises(ValueError, match="lists addresses"):
        Email(to)
