"""Calls become jobs and calls again: with an id and a priority where there was none, and nothing else changed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.app.exchange import Call
from roadworthy.app.job_words import call_of, deferred, job_of, owner_of, told
from roadworthy.core.errors import BadRequest
from roadworthy.serve.queue import Result, Status


def call(body: bytes = b"{}", **headers: str) -> Call:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Call(b"POST", b"/predict", b"q=1", named, body)


def again(body: bytes, **headers: str) -> Call:
    return call_of(job_of(call(body, **headers), "job-1", 5.0, ""))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("respond-async", True),
        ("return=minimal, Respond-Async", True),
        ("respond-async; foo=bar, wait=10", True),
        ("respond-sync", False),
        ("wait=respond-async", False),
        ("", False),
    ],
)
def test_only_the_preference_itself_defers(value, wanted):
    assert deferred(call(prefer=value)) is wanted


@pytest.mark.parametrize(
    ("body", "run"),
    [
        (b"{}", {"id": "job-1", "parameters": {"priority": 3}}),
        (b' {"id": null, "x": [1,  2]}', {"id": "job-1", "x": [1, 2], "parameters": {"priority": 3}}),
        (b'{"id": "a", "parameters": {"priority": 0}}', {"id": "a", "parameters": {"priority": 3}}),
        (b'{"id": "", "parameters": null}', {"id": "job-1", "parameters": {"priority": 3}}),
        (b'{"id": "mine", "parameters": {"priority": 1}}', {"id": "mine", "parameters": {"priority": 1}}),
        (b'{"parameters": {"webhook": "", "key": "u"}}', {"id": "job-1", "parameters": {"key": "u", "priority": 3}}),
    ],
)
def test_a_body_gets_the_id_and_the_priority_of_its_job_where_it_has_none(body, run):
    assert json.loads(again(body).body) == run


def test_what_python_writes_for_nan_stays_as_it_is():
    assert again(b'{"x": NaN, "parameters": {"at": 1}}').body == (
        b'{"x":NaN,"parameters":{"at":1,"priority":3},"id":"job-1"}'
    )


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"{", b'"x"', b"\xff\x00", b'{"parameters": 3}', b"1" * 400, b"[" * 5000]
)
def test_a_body_that_the_route_will_refuse_reaches_it_as_it_came(body):
    assert again(body).body == body


def test_a_body_in_another_encoding_reaches_the_route_as_it_came():
    assert again(b'{"x": 1}', content_encoding="gzip").body == b'{"x": 1}'


def test_binary_tensors_stay_behind_the_header_whose_length_is_told_anew():
    head, tail = b'{"inputs": []}', b"\x00\x01{\xff"
    ran = again(head + tail, inference_header_content_length=str(len(head)))
    length = int(ran.headers[b"inference-header-content-length"])
    assert json.loads(ran.body[:length])["id"] == "job-1"
    assert ran.body[length:] == tail


def test_only_the_headers_that_a_route_needs_are_kept():
    ran = again(b"{}", content_type="x/y", authorization="Bearer secret", prefer="respond-async", grpc_timeout="1S")
    assert ran.headers == {b"content-type": b"x/y"}
    assert (ran.path, ran.query) == (b"/predict", b"q=1")


@given(st.dictionaries(st.text(max_size=9), st.none() | st.integers() | st.text() | st.lists(st.integers())))
def test_the_fields_of_a_body_reach_the_route_unchanged(fields):
    ran = json.loads(again(json.dumps(fields).encode()).body)
    kept = {name: value for name, value in fields.items() if name not in ("id", "parameters")}
    assert {name: value for name, value in ran.items() if name not in ("id", "parameters")} == kept


def test_the_digest_of_a_key_tells_requests_apart_and_nothing_else():
    def digest(body: bytes = b"{}", **headers: str) -> str:
        return job_of(call(body, idempotency_key="k", **headers), "any", 1.0, "").digest

    assert digest() == digest(authorization="other", user_agent="other")
    assert len({digest(), digest(b"{ }"), digest(content_type="x"), digest(webhook_url="http://a/")}) == 4
    assert job_of(call(), "any", 1.0, "").digest == ""


@pytest.mark.parametrize("priority", [0, 4, True, 1.5, "1", None])
def test_a_priority_that_is_none_leaves_the_job_at_3(priority):
    body = json.dumps({"parameters": {"priority": priority}}).encode()
    assert job_of(call(body), "any", 1.0, "").priority == 3


def test_a_webhook_that_is_no_text_is_refused():
    with pytest.raises(BadRequest, match="parameter `webhook` is 7; allowed: a URL"):
        job_of(call(b'{"parameters": {"webhook": 7}}'), "any", 1.0, "")


def test_owners_are_told_apart_by_their_credentials_which_the_name_does_not_tell():
    names = [owner_of(call(**headers)) for headers in ({}, {"authorization": "a"}, {"x_api_key": "b"})]
    assert len(set(names)) == 3
    assert names[0] == ""
    assert owner_of(call(authorization="Bearer b")) == names[2]
    assert all(len(name) == 32 for name in names[1:])


def test_an_error_without_a_sentence_is_told_by_its_status():
    status = Status("j", "failed", "/predict", 1.0, result=Result(500, b""))
    assert told(status)["error"] == "answered 500"
    assert told(Status("j", "dead", "/predict", 1.0, reason="why"))["error"] == "why"
    assert told(Status("j", "queued", "/predict", 1.0, reason="attempt 1 was answered 503"))["reason"]
