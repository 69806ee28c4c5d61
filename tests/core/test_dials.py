"""A Dial goes to JSON and back, and handlers and leaves are known by what they can do."""

from __future__ import annotations

import msgspec

from roadworthy.core.dials import Dial, Dialled, Follower
from roadworthy.serve.wrappers.adaptive import Adaptive


def test_a_dial_comes_back_from_json_with_its_lists():
    dial = Dial("adaptive", 5.0, {"alpha": 0.07, "recent": (0.1, 0.2)}, 12, "1 of the last 12 missed", 40)
    assert msgspec.json.decode(msgspec.json.encode(dial), type=Dial) == dial


def test_what_can_be_turned_and_what_follows_are_told_apart():
    async def inner(request):
        raise AssertionError("nobody asks")

    leaf = Adaptive("lac", (0.5,))
    assert isinstance(leaf(inner), Dialled)
    assert not isinstance(inner, Dialled)
    assert isinstance(leaf, Follower)
