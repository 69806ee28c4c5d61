from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.text_features import MOST_TEXTS, Texts, signs_of

WORDS = [f"word{k}" for k in range(3000)]


def texts(n: int, seed: int, words=WORDS, length: int = 8) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = np.array(words)[rng.integers(0, len(words), (n, length))]
    return np.array([" ".join(row) for row in drawn], object)


def test_signs_are_counted():
    found = signs_of(["abc 12", "ä", "<|im_start|>hi\x00 you", ""])
    assert found["length"].tolist() == [6, 1, 19, 0]
    assert found["words"].tolist() == [2, 1, 2, 1]
    assert found["digits"].tolist() == [pytest.approx(2 / 6), 0, 0, 0]
    assert found["non_ascii"].tolist() == [0, 1, 0, 0]
    assert found["special"].tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("sign", ["<|endoftext|>", "[INST]", "</s>", "\x07", "\u200b", "\u202e", "\ufffd"])
def test_what_steers_a_model_or_hides_is_special(sign):
    assert signs_of([f"say {sign}"])["special"].tolist() == [0.5]


def test_newlines_and_plain_brackets_are_not_special():
    assert signs_of(["a\nb\tc [x] <y> 1 < 2 | 3"])["special"].tolist() == [0]


def test_terms_of_the_same_law_are_as_new_as_those_of_the_reference():
    reference = Texts.of(texts(1000, 0))
    same = Texts.of(texts(1000, 1), reference)
    other = Texts.of(texts(1000, 2, [f"neologism{k}" for k in range(400)]), reference)
    rates = [each.features["new_terms"].mean for each in (reference, same, other)]
    assert 0.1 < rates[0] < 0.5
    assert rates[1] == pytest.approx(rates[0], abs=0.03)
    assert rates[2] > 0.9


def test_the_vocabulary_stays_small():
    many = texts(3000, 0, [f"w{k}" for k in range(60_000)], 20)
    assert len(Texts.of(many).vocabulary) <= 8_000


def test_nulls_are_counted_and_not_looked_at():
    column = np.array(["Why is my card blocked?", None, "¿Por qué está mi tarjeta bloqueada?", np.nan], object)
    found = Texts.of(column)
    assert (found.n, found.nulls, found.features["length"].n) == (4, 2, 2)
    assert found.language.named == {"en": 1, "es": 1}


def test_of_many_texts_some_are_looked_at():
    found = Texts.of(np.array(["a b c d"] * (2 * MOST_TEXTS), object))
    assert found.n == 2 * MOST_TEXTS
    assert found.features["length"].n == MOST_TEXTS


def test_texts_on_other_vocabularies_are_not_merged():
    with pytest.raises(ValueError, match="one vocabulary only"):
        Texts.of(texts(20, 0)).merge(Texts.of(texts(20, 1)))


def test_lone_surrogates_are_no_error():
    assert Texts.of(np.array(["\ud800 and more words here"] * 4, object)).nulls == 0
