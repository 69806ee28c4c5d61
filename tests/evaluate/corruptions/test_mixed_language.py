from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.corruptions.mixed_language import MixedLanguage
from roadworthy.evaluate.text.languages import Language


def said(text: str, language: Language = "es", severity: float = 1.0) -> str:
    sample = Sample({"said": np.array([text], dtype=object)})
    return str(MixedLanguage(language=language)(sample, severity, np.random.default_rng(0)).columns["said"][0])


@pytest.mark.parametrize(
    ("language", "wanted"),
    [
        ("es", "Dónde es mi card? Yo quiero ayuda."),
        ("de", "Wo ist mein card? Ich will Hilfe."),
        ("fr", "Où est mon card? Je veux aide."),
        ("pt", "Onde é meu card? Eu quero ajuda."),
    ],
)
def test_common_words_are_said_in_the_other_language_and_those_of_a_trade_are_not(
    language: Language, wanted: str
) -> None:
    after = said("Where is my card? I want help.", language)
    assert after.lower() == wanted.lower()
    assert after[0] == wanted[0]


def test_severity_is_the_share_of_the_words() -> None:
    words = said("please " * 4000, severity=0.3).split(" ")
    assert 0.27 < words.count("por") / 4000 < 0.33


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(SpecError, match="language"):
        corruption.make("mixed_language:language=tlh")
    with pytest.raises(ValueError, match="must be one of es, de, fr, pt, got 'tlh'"):
        MixedLanguage(language="tlh")  # type: ignore[arg-type]
