"""A status becomes the error of the same meaning, with the words of the server."""

from __future__ import annotations

import pytest

from roadworthy.app.endpoints.refusals import Failed, refusal, retry_after, said
from roadworthy.core.errors import BadRequest, Denied, Late, Missing, Overloaded, Taken, TooMany


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, Denied),
        (404, Missing),
        (409, Taken),
        (422, BadRequest),
        (429, TooMany),
        (500, Failed),
        (503, Overloaded),
        (504, Late),
    ],
)
def test_each_status_has_its_error(status, kind):
    error = refusal("http://x", status, {}, b'{"error": "because"}')
    assert type(error) is kind
    assert str(error).startswith(f"http://x answered {status}: because")


def test_a_server_may_say_when_to_come_again():
    assert refusal("u", 429, {"retry-after": "2.5"}, b"").retry_after == 2.5
    assert retry_after({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}) == 1.0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "no such model", "type": "x"}}', "no such model"),
        (b'{"detail": [{"loc": ["body"]}]}', '[{"loc":["body"]}]'),
        (b"<html>\n  Bad   Gateway</html>", "<html> Bad Gateway</html>"),
        (b"", ""),
        (b"x" * 1000, "x" * 200 + "..."),
    ],
)
def test_the_words_are_found_and_kept_short(body, words):
    assert said(body) == words
