"""Unicode: letters arrive in another form, or with others among them that nobody sees."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.core.tidy import LOOKS_LATIN
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.letters import Letters
from roadworthy.evaluate.text.texts import spoil_texts

Form = Literal["nfd", "full_width", "homoglyph", "zero_width", "bidi", "soft_hyphen", "emoji"]
INSERTED: dict[Form, str] = {
    "zero_width": "\u200b\u200c\u200d\u2060\ufeff",
    "bidi": "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2069",
    "soft_hyphen": "\u00ad",
    "emoji": "😀🙏😡😭👍❓🔥💳",
}
_LATIN = {ord(latin): ord(look) for look, latin in LOOKS_LATIN.items()}


@corruption("unicode")
@dataclass(frozen=True)
class UnicodeForm:
    """`rate` times severity of the letters of every text take another `form`, or are followed by what is unseen.

    full_width and homoglyph (Cyrillic for Latin) replace letters, zero_width, bidi and soft_hyphen stand behind them,
    emoji behind words. nfd parts accents from their letters in severity of the texts.
    """

    columns: tuple[str, ...] = ()
    form: Form = "full_width"
    rate: float = 0.2
    share: float = 1.0
    called: str = ""
    label_preserving: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value in (("rate", self.rate), ("share", self.share)):
            if not 0 < value <= 1:
                raise ValueError(f"`{name}` must be above 0 and at most 1, got {value!r}")
        if self.form not in ("nfd", "full_width", "homoglyph", *INSERTED):
            raise ValueError(f"no `form` {self.form!r}: nfd, full_width, homoglyph, {', '.join(INSERTED)}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        if self.form == "nfd":
            hit = rng.random(sample.n) < self.share * severity
            return spoil_texts(sample, self.columns, hit, _decomposed)
        hit = (rng.random(sample.n) < self.share) & (severity > 0)
        return spoil_texts(sample, self.columns, hit, lambda texts: self._formed(texts, self.rate * severity, rng))

    def _formed(self, texts: list[str], rate: float, rng: np.random.Generator) -> list[str]:
        letters = Letters.of(texts)
        mask = letters.are(_eligible(self.form)) & (rng.random(len(letters.codes)) < rate)
        if self.form == "full_width":
            return letters.replaced(mask, letters.codes[mask] + np.uint32(0xFEE0)).texts()
        if self.form == "homoglyph":
            looks = [_LATIN[code] for code in letters.codes[mask].tolist()]
            return letters.replaced(mask, np.array(looks, dtype=np.uint32)).texts()
        marks = np.array([ord(mark) for mark in INSERTED[self.form]], dtype=np.uint32)
        return letters.inserted(mask, rng.choice(marks, int(mask.sum()))).texts()


def _eligible(form: Form) -> Callable[[str], bool]:
    """Which letters a form can befall."""
    if form == "full_width":
        return lambda letter: "!" <= letter <= "~"
    if form == "homoglyph":
        return lambda letter: ord(letter) in _LATIN
    return str.isspace if form == "emoji" else str.isalpha


def _decomposed(texts: list[str]) -> list[str]:
    return [unicodedata.normalize("NFD", text) for text in texts]
