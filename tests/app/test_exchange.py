"""Replies as bytes, and errors as replies."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus

import pytest

from roadworthy.app.exchange import Refused, Reply, error_reply, json_reply, written
from roadworthy.core.errors import Missing, Overloaded


def test_a_reply_has_its_length_its_headers_and_the_date():
    raw = written(Reply(200, b"hello", b"text/plain", ((b"x-a", b"1"),)), b"date: now\r\n", last=True)
    assert raw == (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: now\r\nx-a: 1\r\n"
        b"connection: close\r\ncontent-length: 5\r\n\r\nhello"
    )


def test_structs_are_written_as_objects():
    assert json_reply({"reply": Reply(404, content_type=b"")}).body.startswith(b'{"reply":{"status":404')


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (Missing("nobody"), HTTPStatus.NOT_FOUND, "nobody"),
        (Refused(431, "too long"), HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too long"),
        (TimeoutError("waited 2 s"), HTTPStatus.GATEWAY_TIMEOUT, "waited 2 s"),
        (asyncio.CancelledError(), HTTPStatus.SERVICE_UNAVAILABLE, "the server stopped before it could answer"),
        (ZeroDivisionError("x"), HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed on this request"),
    ],
)
def test_an_error_has_a_status_and_a_sentence(error, status, says):
    reply = error_reply(error)
    assert reply.status == status
    assert json.loads(reply.body)["error"].startswith(says)


def test_the_overloaded_say_when_to_come_back_in_whole_seconds():
    assert error_reply(Overloaded("full", 0.2)).headers == ((b"retry-after", b"1"),)
