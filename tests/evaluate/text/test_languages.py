from __future__ import annotations

import pytest

from roadworthy.evaluate.text.languages import LANGUAGES, Language, dictionary


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_some_two_hundred_words_of_its_own(language: Language) -> None:
    words = dictionary(language)
    assert 150 < len(words) < 300
    assert all(english == english.lower() and said for english, said in words.items() if english != "i")
    assert sum(english == said for english, said in words.items()) < 10


def test_a_word_is_said_as_people_say_it() -> None:
    assert [dictionary(language)["please"] for language in LANGUAGES] == [
        "por favor", "bitte", "s'il vous plaît", "por favor",
    ]  # fmt: skip
