"""Paths find their answers: exact first, then the longest prefix."""

from __future__ import annotations

import pytest

from roadworthy.app.exchange import Call, Reply
from roadworthy.app.routes import Routes
from roadworthy.core.errors import Missing


def named(name: str):
    async def answer(call: Call) -> Reply:
        return Reply(200, name.encode())

    return answer


def test_exact_beats_prefix_and_the_longest_prefix_wins():
    table = Routes()
    answers = {path: named(path) for path in ("/a/*", "/a/b/*", "/a/b/c")}
    for path, answer in answers.items():
        table.add("GET", path, answer)
    assert table.find(b"GET", b"/a/x") is answers["/a/*"]
    assert table.find(b"GET", b"/a/b/x") is answers["/a/b/*"]
    assert table.find(b"GET", b"/a/b/c") is answers["/a/b/c"]


def test_a_get_answers_head_unless_head_has_its_own():
    table, get, head = Routes(), named("get"), named("head")
    table.add("GET", "/x", get)
    assert table.find(b"HEAD", b"/x") is get
    table.add("HEAD", "/x", head)
    assert table.find(b"HEAD", b"/x") is head
    assert table.find(b"GET", b"/x") is get


def test_two_methods_of_one_prefix_stand_together():
    table, get, post = Routes(), named("get"), named("post")
    table.add("GET", "/x/*", get)
    table.add("POST", "/x/*", post)
    assert table.find(b"POST", b"/x/1") is post


def test_bytes_that_are_no_text_are_missing_and_not_a_crash():
    with pytest.raises(Missing):
        Routes().find(b"GET", b"/\xff")
