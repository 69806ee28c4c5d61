"""Letter case: the text is shouted, whispered, titled, or typed with the lock on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.texts import spoil_texts

FORMS = {"upper": str.upper, "lower": str.lower, "title": str.title, "swapped": str.swapcase}


@corruption("letter_case")
@dataclass(frozen=True)
class LetterCase:
    """Severity of the texts are all `upper`, all `lower`, in `title` case, or `swapped` as with caps lock on."""

    columns: tuple[str, ...] = ()
    form: Literal["upper", "lower", "title", "swapped"] = "upper"
    called: str = ""
    label_preserving: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"`form` must be one of {', '.join(FORMS)}; got {self.form!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit, change = rng.random(sample.n) < severity, FORMS[self.form]
        return spoil_texts(sample, self.columns, hit, lambda texts: [change(text) for text in texts])
