from __future__ import annotations

import json
from pathlib import Path

import pytest

from roadworthy.core.errors import BadData, Missing
from roadworthy.evaluate.hostile.naughty_strings import LONG, STRINGS, naughty_strings


def test_there_are_some_hundreds_all_different_and_each_has_a_plain_name() -> None:
    found = list(naughty_strings())
    assert 200 <= len(found) <= 400
    assert len({case.text for case in found}) == len({case.name for case in found}) == len(found)
    assert all(case.name.isascii() and case.name.isprintable() for case in found)


@pytest.mark.parametrize(
    ("category", "holds"),
    [
        ("empty", ""),
        ("lone surrogates", "\ud800"),
        ("controls", "\x00"),
        ("forms", "cafe\u0301"),
        ("bidirectional controls", "\u202etxt.exe"),
        ("special tokens", "</s>"),
        ("special tokens", "[INST]"),
        ("special tokens", "<|im_start|>"),
        ("long", "a" * LONG),
    ],
)
def test_what_other_lists_leave_out_is_there(category: str, holds: str) -> None:
    assert holds in STRINGS[category]


def test_a_list_of_ones_own_takes_the_place_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "blns.json"
    path.write_text(json.dumps(["", "undefined", "\ud800"]))
    assert [(c.name, c.text) for c in naughty_strings(path)] == [
        ("blns 1", ""),
        ("blns 2", "undefined"),
        ("blns 3", "\ud800"),
    ]


@pytest.mark.parametrize("held", [b"{}", b"[1, 2]", b"[", b'"text"', b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_list_of_strings_is_refused(tmp_path: Path, held: bytes) -> None:
    path = tmp_path / "strings.json"
    path.write_bytes(held)
    with pytest.raises(BadData, match=r"strings.json' is no JSON list of strings"):
        list(naughty_strings(path))
    with pytest.raises(Missing, match="give a JSON list of strings"):
        list(naughty_strings(tmp_path / "absent.json"))
