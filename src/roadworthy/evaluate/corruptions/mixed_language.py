"""Mixed language: people who live in two languages write in both at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.languages import LANGUAGES, Language, dictionary
from roadworthy.evaluate.text.texts import chances, spoil_texts

_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?")


@corruption("mixed_language")
@dataclass(frozen=True)
class MixedLanguage:
    """Severity of the common English words of a text are said in another language, in `share` of the rows.

    Some 200 words are known in each of de, es, fr and pt; words of a trade, and what else is written, stay English.
    """

    columns: tuple[str, ...] = ()
    language: Language = "es"
    share: float = 1.0
    called: str = ""
    label_preserving: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ValueError(f"`language` must be one of {', '.join(LANGUAGES)}, got {self.language!r}")
        if not 0 < self.share <= 1:
            raise ValueError(f"`share` must be above 0 and at most 1, got {self.share!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = (rng.random(sample.n) < self.share) & (severity > 0)
        words, chance = dictionary(self.language), chances(rng)
        return spoil_texts(sample, self.columns, hit, lambda texts: [_mixed(t, words, severity, chance) for t in texts])


def _mixed(text: str, words: Mapping[str, str], severity: float, chance: Iterator[float]) -> str:
    def say(match: re.Match[str]) -> str:
        other = words.get(match[0].lower())
        if other is None or next(chance) >= severity:
            return match[0]
        return other.capitalize() if match[0][0].isupper() and match[0] != "I" else other

    return _WORD.sub(say, text)
