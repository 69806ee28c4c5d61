from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.core.tidy import STEPS, Step, Tidy, as_windows, demojibaked, to_vocabulary

PLAIN = "I've been to Zürich, Straße 5 – it cost €1,250.50; naïve? “Yes” (он сказал: да) 日本語 ok"


@pytest.mark.parametrize(
    ("step", "given", "wanted"),
    [
        ("nfkc", "ｗｈｅｒｅ is my ﬁle, Zu\u0308rich", "where is my file, Zürich"),
        ("invisible", "\ufeffwhe\u200bre\u202e is\u00ad my\x00 card", "where is my card"),
        ("invisible", "می\u200cخواهم 👩\u200d💻 ❤\ufe0f", "می\u200cخواهم 👩\u200d💻 ❤\ufe0f"),
        ("homoglyphs", "whеrе is mу cаrd", "where is my card"),
        ("homoglyphs", "whеrе is а card", "where is a card"),
        ("homoglyphs", "где моя карта, а? mу ok", "где моя карта, а? my ok"),
        ("spaces", " where\u00a0is \r\n my\t\tcard ", "where is my card"),
        ("quotes", "it’s “mine” – now", 'it\'s "mine" - now'),
        ("mojibake", "donâ€™t, ZÃ¼rich, Ã\u00a0 propos, â€œyesâ€\x9d", "don’t, Zürich, à propos, “yes”"),
        ("mojibake", "CAFÉ… Ä° Â here", "CAFÉ… Ä° Â here"),
        ("unshout", "WHERE IS MY CARD", "Where is my card"),
        ("unshout", "USA", "USA"),
        ("lower", "Where", "where"),
        ("markup", "<p>where &amp; when&nbsp;<br/></p>", "where & when"),
        ("markup", "> > where is\n> my card", "where is\nmy card"),
        ("markup", "where?\n\n-- \nKind regards\nSam", "where?"),
        ("markup", "where?\n\nSent from my iPhone", "where?"),
        ("markup", "• one\n- two\n1. three", "one\ntwo\nthree"),
        ("markup", "| where is | my card |", "where is   my card"),
    ],
)
def test_a_step_takes_its_damage_away(step: Step, given: str, wanted: str) -> None:
    assert Tidy((step,))(given) == wanted


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ("markup", "is 3 < 5 and 7 > 6? a|b -- well - no, 2.5"),
        ("markup", "- "),
        ("spaces", ""),
        ("homoglyphs", "α = 5"),
    ],
)
def test_what_only_resembles_damage_stays(step: Step, text: str) -> None:
    assert Tidy((step,))(text) == text


def test_ordinary_text_in_four_scripts_is_left_alone() -> None:
    steps: tuple[Step, ...] = ("mojibake", "markup", "nfkc", "invisible", "homoglyphs", "spaces")
    assert Tidy(steps)(PLAIN) == PLAIN


def test_a_lone_surrogate_goes_through_every_step() -> None:
    assert Tidy(tuple(STEPS))("a \ud800 b").endswith("b")


def test_the_order_is_that_of_the_steps_however_they_are_named() -> None:
    text = "<b>Ｗhere\u200b</b>  IS"
    assert Tidy(("spaces", "markup", "nfkc", "invisible"))(text) == Tidy(("invisible", "nfkc", "markup", "spaces"))(
        text
    )


@settings(max_examples=200, deadline=None)
@given(st.text(), st.sampled_from([s for s in STEPS if s not in ("markup", "nfkc")]))
def test_a_step_done_twice_is_a_step_done_once(text: str, step: Step) -> None:
    once = Tidy((step,))(text)
    assert Tidy((step,))(once) == once


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_windows_reading_keeps_every_byte(text: str) -> None:
    assert len(as_windows(text)) == len(text.encode())


def test_mojibake_twice_over_is_read_twice() -> None:
    assert demojibaked(as_windows(as_windows("Zürich, don’t"))) == "Zürich, don’t"


def test_a_category_is_found_by_itself_then_by_blanks_then_by_case() -> None:
    means = to_vocabulary([" Private", "State-gov", "state-GOV", "New  York"])
    assert [means(c) for c in ("Private", "PRIVATE ", " Private", "new york", "State-gov")] == [
        " Private", " Private", " Private", "New  York", "State-gov",
    ]  # fmt: skip


def test_blanks_tell_apart_what_case_alone_would_not() -> None:
    means = to_vocabulary([" State-gov", "state-GOV"])
    assert [means(c) for c in ("State-gov", "state-GOV ", "STATE-GOV")] == [" State-gov", "state-GOV", "STATE-GOV"]


def test_a_category_that_means_two_or_none_stays() -> None:
    means = to_vocabulary(["State-gov", "state-GOV", " a", "a "])
    assert [means(c) for c in ("STATE-GOV", "a", "self-employed", "")] == ["STATE-GOV", "a", "self-employed", ""]
