"""Language guesses what a text is written in, by its script and its commonest little words: coarse, small, offline."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

# Words that are frequent in one language and rare in the others of its script.
_LITTLE = {
    "en": "the and is of to my it that this what how was with have not you are can why do for when please been",
    "de": "der die das und ist nicht ich mein wie warum mit auf ein eine für den dem habe wurde kann bitte zu von wird",
    "fr": "le la les et est pas je mon ma des une un pour que avec dans pourquoi comment vous ce sur été mes du ai au",
    "es": "el los las y es no mi por que para con una un cómo qué del se está lo me puedo tengo su más como",
    "it": "il gli e è non mi perché con una un della che per sono come di ho mio mia nel questo cosa anche lo",
    "pt": "o os as e é não meu minha por que para com uma um da do em como está você eu no na mais foi",
    "nl": "de het een en is niet ik mijn van op met voor waarom hoe dat wat zijn kan heb te aan er bij",
    "sv": "och är inte jag min det en ett som på för med varför hur att av till har kan den vad om",
    "pl": "i w nie się na jest to z że do jak mój moja dlaczego co czy mam po za przez od",
    "tr": "ve bir bu için değil ne neden nasıl benim mi ben var ile çok da de olarak gibi daha",
}
_SAID = {word for text in _LITTLE.values() for word in text.split()}
_WORDS = {word: [code for code, text in _LITTLE.items() if word in text.split()] for word in _SAID}
# Where a script stands for one language, or for several that it cannot tell apart.
_SCRIPTS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
    "CYRILLIC": "cyrillic",
    "ARABIC": "arabic",
    "HEBREW": "he",
    "DEVANAGARI": "hi",
    "THAI": "th",
    "GREEK": "el",
    "BENGALI": "bn",
    "TAMIL": "ta",
}
_WORD = re.compile(r"[^\W\d_]+")


def language_of(text: str | None) -> str:
    """A code such as `en`, a script that several languages share (`cyrillic`), or `?` where nothing speaks for one.

    >>> language_of("Why was my card declined?"), language_of("Warum wurde meine Karte nicht angenommen?")
    ('en', 'de')
    >>> language_of("カードが使えません"), language_of("42")
    ('ja', '?')
    """
    if not text:
        return "?"
    scripts = Counter(_script(letter) for letter in text[:400] if ord(letter) > 0x2FF and letter.isalpha())
    letters = sum(letter.isalpha() for letter in text[:400])
    if sum(scripts.values()) * 2 > letters:
        # Japanese mixes kana with many Chinese characters.
        return "ja" if scripts["ja"] else scripts.most_common(1)[0][0]
    votes: dict[str, float] = {}
    for word in _WORD.findall(text[:400].casefold()):
        speaking = _WORDS.get(word, [])
        for code in speaking:
            votes[code] = votes.get(code, 0.0) + 1 / len(speaking)
    best = sorted(votes.values(), reverse=True)
    if not best or best[0] == (best[1] if len(best) > 1 else 0.0):
        return "?"
    return max(votes, key=votes.__getitem__)


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "").partition(" ")[0]
    return _SCRIPTS.get(name, "?")
