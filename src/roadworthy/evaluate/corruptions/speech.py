"""Speech: the text was spoken and written down by a machine, which hears words, not marks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.texts import chances, spoil_texts

HEARD_AS = {
    "to": "two", "too": "to", "two": "to", "for": "four", "four": "for", "there": "their", "their": "there",
    "here": "hear", "hear": "here", "know": "no", "no": "know", "right": "write", "write": "right", "by": "buy",
    "buy": "by", "your": "you're", "its": "it's", "our": "hour", "hour": "our", "one": "won", "won": "one",
    "would": "wood", "week": "weak", "wait": "weight", "mail": "male", "sent": "cent", "cent": "sent", "new": "knew",
    "knew": "new", "see": "sea", "be": "bee", "I": "eye", "are": "our", "than": "then", "then": "than", "whether":
    "weather", "weather": "whether", "which": "witch", "where": "wear", "pay": "bay", "card": "cart", "bank": "thank",
    "cash": "catch", "rate": "wait", "fee": "free", "account": "a count", "transfer": "trans for", "exchange":
    "ex change", "sale": "sail", "meet": "meat", "piece": "peace", "some": "sum", "through": "threw", "ate": "eight",
}  # fmt: skip
FILLERS = ("um", "uh", "er", "like", "you know", "so")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_MARK = re.compile(r"[.,;:!?\"“”()\[\]…]+(?=\s|$)|(?<=\s)[\"“”(\[]+|^[\"“”(\[]+")


@corruption("speech")
@dataclass(frozen=True)
class Speech:
    """Half of the words with a double are misheard (two for to), one in ten follows an "um", at severity 1.

    A text that is spoken, severity of them, has no capitals and no marks but those inside a word or number.
    """

    columns: tuple[str, ...] = ()
    misheard: float = 0.5
    fillers: float = 0.1
    called: str = ""
    label_preserving: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value in (("misheard", self.misheard), ("fillers", self.fillers)):
            if not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be between 0 and 1, got {value!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit, chance = rng.random(sample.n) < severity, chances(rng)
        wrong, um = self.misheard * severity, self.fillers * severity
        return spoil_texts(sample, self.columns, hit, lambda texts: [_heard(t, wrong, um, chance) for t in texts])


def _heard(text: str, misheard: float, fillers: float, chance: Iterator[float]) -> str:
    def hear(match: re.Match[str]) -> str:
        word = match[0].lower()
        if word in HEARD_AS and next(chance) < misheard:
            word = HEARD_AS[word]
        return f"{FILLERS[int(len(FILLERS) * next(chance))]} {word}" if next(chance) < fillers else word

    return _WORD.sub(hear, _MARK.sub("", text))
