"""Events come out of bytes however these are cut, and what is no event is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.app.endpoints.events import Event, events
from roadworthy.core.errors import BadData


async def pieces(*parts: bytes) -> AsyncGenerator[bytes, None]:
    for part in parts:
        yield part


def read(*parts: bytes) -> list[Event]:
    async def all_of_them() -> list[Event]:
        return [event async for event in events(pieces(*parts))]

    return asyncio.run(all_of_them())


STREAM = (
    'event: answer\r\ndata: {"a": 1}\r\n\r\n: a comment\n\ndata: zwei\ndata:drei ö\nid: 4\nretry: 5\n\ndata: [DONE]\n\n'
).encode()
SEEN = [Event(b"answer", b'{"a": 1}'), Event(b"", "zwei\ndrei ö".encode()), Event(b"", b"[DONE]")]


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts):
    at = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[a:b] for a, b in pairwise(at))) == SEEN


def test_an_event_without_its_end_is_dropped():
    assert read(b"data: whole\n\ndata: half") == [Event(b"", b"whole")]


@pytest.mark.parametrize("line", [b'{"choices": []}\n', b"dta: x\n", b"\xff\xfe\n"])
def test_a_line_that_is_no_field_is_refused_and_shown(line):
    with pytest.raises(BadData, match="no server-sent event"):
        read(b"data: x\n\n" + line)
