from __future__ import annotations

from gap.tokenizers import BEYOND


def test_what_is_asked_beyond_the_big_list_holds_one_half_character_and_nothing_twice() -> None:
    assert len(BEYOND) == len(set(BEYOND)) == 26
    broken = [text for text in BEYOND if any("\ud800" <= letter <= "\udfff" for letter in text)]
    assert broken == ["\ud800"]
