"""Spacing: the blank between two words is missing, doubled, or stands amidst a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.letters import Letters
from roadworthy.evaluate.text.texts import spoil_texts

FORMS = ("glued", "split", "doubled")


@corruption("spacing")
@dataclass(frozen=True)
class Spacing:
    """`rate` times severity of the gaps are gone (`glued`), or twice as wide (`doubled`), in every text.

    `split` puts a blank into words instead, behind a fifth as large a share of the letters: about as many words suffer.
    """

    columns: tuple[str, ...] = ()
    form: Literal["glued", "split", "doubled"] = "glued"
    rate: float = 0.4
    called: str = ""
    label_preserving: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ValueError(f"`rate` must be above 0 and at most 1, got {self.rate!r}")
        if self.form not in FORMS:
            raise ValueError(f"`form` must be one of {', '.join(FORMS)}; got {self.form!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = np.full(sample.n, severity > 0)
        return spoil_texts(sample, self.columns, hit, lambda texts: self._spaced(texts, self.rate * severity, rng))

    def _spaced(self, texts: list[str], rate: float, rng: np.random.Generator) -> list[str]:
        letters = Letters.of(texts)
        drawn = rng.random(len(letters.codes))
        if self.form == "split":
            inside = letters.with_next(letters.are(str.isalpha)) & (drawn < rate / 5)
            return letters.inserted(inside, np.full(int(inside.sum()), 32, np.uint32)).texts()
        gap = (letters.codes == 32) & (drawn < rate)
        if self.form == "glued":
            return letters.dropped(gap).texts()
        return letters.inserted(gap, letters.codes[gap]).texts()
