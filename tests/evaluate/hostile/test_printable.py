from __future__ import annotations

import pytest

from roadworthy.evaluate.hostile.naughty_strings import naughty_strings
from roadworthy.evaluate.hostile.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Zürich, 東京, 😍", "plain, Zürich, 東京, 😍"),
        ("\x1b[31m\x00\x07", "\\x1b[31m\\x00\\x07"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202etxt.exe\u200b\ufeff", "\\u202etxt.exe\\u200b\\ufeff"),
        ("half \ud83d", "half \\ud83d"),
        ("e\u0301\u0301\u0301", "e\u0301\\u0301\\u0301"),
        ("\u0301 alone", "\\u0301 alone"),
        ("", ""),
    ],
)
def test_only_what_breaks_a_line_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_a_long_text_is_cut_and_says_how_long_it_was() -> None:
    assert printable("a" * 121) == "a" * 120 + "... (121 characters)"
    assert printable("a" * 120) == "a" * 120


def test_every_string_of_ours_becomes_one_line_that_can_be_written_anywhere() -> None:
    for _, _, text in naughty_strings():
        shown = printable(text)
        assert shown.isprintable()
        assert shown.encode("utf-8").decode("utf-8") == shown
