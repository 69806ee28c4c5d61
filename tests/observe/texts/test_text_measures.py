"""Each fault of a text is a number that is larger the worse it is."""

from __future__ import annotations

import math

import pytest

from roadworthy.core.tidy import as_windows
from roadworthy.observe.texts.text_measures import entropy, measured, repeated_share, tail_loop

GOOD = "The committee met on Tuesday, and after a long talk agreed to mend the bridge before winter comes."


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("a b c d", 0),
        ("go on and on", 0),
        ("yes yes yes yes", 3),
        ("first we see it we see it we see it", 6),
        ("we see it we see it we see", 5),
        ("", 0),
        ("one", 0),
    ],
)
def test_a_loop_at_the_end_is_counted_in_words(text, again):
    assert tail_loop(text.split()) == again


def test_a_loop_of_long_sentences_is_a_loop():
    assert tail_loop(GOOD.split() * 3) == 2 * len(GOOD.split())


def test_what_was_said_before_is_repeated():
    assert repeated_share(GOOD.split()) == 0
    assert repeated_share(["a", "b", "c", "d", "a", "b", "c", "d"]) == pytest.approx(1 / 5)
    assert repeated_share(["a", "b"]) == 0


def test_few_words_have_little_entropy():
    assert entropy(GOOD.split()) > 0.9
    assert entropy(["yes"] * 40) == 0
    assert entropy(["too", "few"]) == 1


def test_writing_without_spaces_is_measured_by_its_signs():
    assert measured("これは文です。" * 1 + "ください" * 20)["loops"] >= 60
    assert measured("ha" * 100)["loops"] >= 100


@pytest.mark.parametrize("text", ["It’s “fine” – café", "naïve", "Grüße", "price: 5 €"])
def test_text_that_was_read_in_the_wrong_encoding_is_found(text):
    assert measured(text)["mojibake"] == 0
    assert measured(as_windows(text))["mojibake"] > 0.05


def test_letters_that_became_question_marks_are_found():
    assert measured("She didn?t ask. Why? Nobody knew.")["mojibake"] > 0
    assert measured("Why? Nobody knew.")["mojibake"] == 0
    assert measured("lost \ufffd letters")["mojibake"] > 0


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot assist with this.",
        "As an AI language model, I",
        "I’m unable to",
    ],
)
def test_a_refusal_is_heard(text):
    assert measured(text)["refusal"] == 1


def test_being_sorry_is_no_refusal():
    assert measured("I am sorry for your loss. The bank can help you.")["refusal"] == 0


@pytest.mark.parametrize(
    ("text", "cut"),
    [(GOOD, 0), ("It ends (well.)", 0), ("```\ncode\n```", 1), ("and then the", 1), ("", 0), ("素晴らしい。", 0)],
)
def test_a_text_that_stops_in_the_middle_is_unfinished(text, cut):
    assert measured(text)["unfinished"] == cut


def test_what_the_engine_says_is_used_where_it_says_it():
    assert "cut" not in measured(GOOD)
    assert measured(GOOD, "length")["cut"] == 1
    assert measured(GOOD, "stop")["cut"] == 0
    assert measured(GOOD, log_probability=-2.5)["unsure"] == 2.5
    assert "unsure" not in measured(GOOD, log_probability=math.nan)


def test_the_pace_of_a_stream():
    found = measured(GOOD, seconds={"first": 0.2, "total": 1.2}, tokens=11)
    assert (found["slow_first"], found["slow_tokens"]) == (0.2, pytest.approx(0.1))
    assert "slow_tokens" not in measured(GOOD, seconds={"first": 0.2, "total": 1.2}, tokens=1)
    assert "slow_first" not in measured(GOOD, seconds={"total": 1.2})


def test_no_text_is_empty_and_nothing_else():
    for nothing in (None, "", "  \n"):
        found = measured(nothing)
        assert found["empty"] == 1
        assert found["loops"] == found["refusal"] == found["unfinished"] == 0


def test_signs_that_nobody_sees_are_control_signs():
    assert measured("a\u200bb\x00c")["control"] == pytest.approx(2 / 5)
    assert measured("a\nb\tc\r\n")["control"] == 0
