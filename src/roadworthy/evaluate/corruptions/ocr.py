"""Ocr: the text was read from paper by a machine, and some letters for others that look alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.texts import chances, spoil_texts

# What scanners confuse most: strokes that touch, rings that close, and letters that are digits in some typeface.
READ_AS = {
    "rn": "m", "m": "rn", "cl": "d", "d": "cl", "vv": "w", "w": "vv", "ii": "u", "li": "h", "ri": "n", "fi": "ﬁ",
    "l": "1", "1": "l", "I": "l", "i": "1", "O": "0", "o": "0", "0": "O", "S": "5", "s": "5", "5": "S", "B": "8",
    "8": "B", "Z": "2", "z": "2", "2": "Z", "g": "9", "9": "g", "G": "6", "6": "G", "b": "6", "q": "9", "e": "c",
    "c": "e", "a": "o", "u": "v", "n": "h", "h": "b", "t": "f", "f": "t", "T": "7", "D": "O", ",": ".", ".": ",",
}  # fmt: skip
_READ = re.compile("|".join(sorted(map(re.escape, READ_AS), key=len, reverse=True)))


@corruption("ocr")
@dataclass(frozen=True)
class Ocr:
    """`rate` times severity of the letters that a scanner confuses are read as their look-alike (rn as m, l as 1)."""

    columns: tuple[str, ...] = ()
    rate: float = 0.1
    share: float = 1.0
    called: str = ""
    label_preserving: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value in (("rate", self.rate), ("share", self.share)):
            if not 0 < value <= 1:
                raise ValueError(f"`{name}` must be above 0 and at most 1, got {value!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = (rng.random(sample.n) < self.share) & (severity > 0)
        chance, rate = chances(rng), self.rate * severity
        return spoil_texts(sample, self.columns, hit, lambda texts: [_read(text, rate, chance) for text in texts])


def _read(text: str, rate: float, chance: Iterator[float]) -> str:
    return _READ.sub(lambda m: READ_AS[m[0]] if next(chance) < rate else m[0], text)
