"""Incomplete: the sentence was sent, cut or recorded before it was at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.texts import spoil_texts


@corruption("incomplete")
@dataclass(frozen=True)
class Incomplete:
    """`cut` times severity of the words are gone at the tail (or head, or middle), in `share` of the rows.

    At least one word stays. What is cut may be what the label rests on: read the curve over severities, and weigh it
    in a mix by how often production really is cut off.
    """

    columns: tuple[str, ...] = ()
    form: Literal["tail", "head", "middle"] = "tail"
    cut: float = 0.5
    share: float = 1.0
    called: str = ""
    label_preserving: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, value in (("cut", self.cut), ("share", self.share)):
            if not 0 < value <= 1:
                raise ValueError(f"`{name}` must be above 0 and at most 1, got {value!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = (rng.random(sample.n) < self.share) & (severity > 0)

        def cut(texts: list[str]) -> list[str]:
            drawn = rng.random(len(texts)).tolist()
            return [self._cut(text, self.cut * severity, chance) for text, chance in zip(texts, drawn, strict=True)]

        return spoil_texts(sample, self.columns, hit, cut)

    def _cut(self, text: str, share: float, chance: float) -> str:
        words = text.split()
        if len(words) < 2:
            return text
        # Rounded up or down by chance, so that the share holds on average for texts of any length.
        keep = len(words) - min(int(share * len(words) + chance), len(words) - 1)
        if keep == len(words):
            return text
        if self.form == "head":
            return " ".join(words[-keep:])
        before = keep if self.form == "tail" else (keep + 1) // 2
        return " ".join(words[:before] + words[len(words) - (keep - before) :])
