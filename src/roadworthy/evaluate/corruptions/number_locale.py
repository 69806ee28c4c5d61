"""Number locale: numbers and dates are written as another country writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.texts import spoil_texts

_NUMBER = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w]|[.,]\d)|(?<![\w.,])\d+\.\d+(?![\w]|[.,]\d)")
_DATE = re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?![\d/])")
MARKS = {"comma": {",": ".", ".": ","}, "blank": {",": "\u00a0", ".": ","}, "plain": {",": "", ".": "."}}


@corruption("number_locale")
@dataclass(frozen=True)
class NumberLocale:
    """In severity of the texts 1,234.56 is 1.234,56 (`comma`), 1 234,56 (`blank`) or 1234.56 (`plain`).

    Dates such as 3/25/2024 have day and month the other way round, save for `plain`.
    """

    columns: tuple[str, ...] = ()
    form: Literal["comma", "blank", "plain"] = "comma"
    called: str = ""
    label_preserving: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.form not in MARKS:
            raise ValueError(f"`form` must be one of {', '.join(MARKS)}; got {self.form!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = rng.random(sample.n) < severity
        return spoil_texts(sample, self.columns, hit, lambda texts: [self._written(text) for text in texts])

    def _written(self, text: str) -> str:
        marks = str.maketrans(MARKS[self.form])
        written = _NUMBER.sub(lambda m: m[0].translate(marks), text)
        return written if self.form == "plain" else _DATE.sub(r"\2/\1/\3", written)
