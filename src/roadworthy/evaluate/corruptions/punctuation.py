"""Punctuation: the marks are left out, or come in runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.texts import spoil_texts

RUNS = ("!!!!!", "???", "?!?!", "......", "!!!", "????!!")
_MARK = re.compile(r"[.,;:!?…'\"“”‘’]+(?!\w)|(?<!\w)['\"“”‘’]+")
_LAST = re.compile(r"[\s.!?…]*\Z")


@corruption("punctuation")
@dataclass(frozen=True)
class Punctuation:
    """Severity of the texts end in a run such as `!!!!!` (`runs`), or have no marks at all (`dropped`).

    Marks within a word or a number stay.
    """

    columns: tuple[str, ...] = ()
    form: Literal["runs", "dropped"] = "runs"
    called: str = ""
    label_preserving: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.form not in ("runs", "dropped"):
            raise ValueError(f"`form` must be runs or dropped, got {self.form!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = rng.random(sample.n) < severity

        def change(texts: list[str]) -> list[str]:
            if self.form == "dropped":
                return [_MARK.sub("", text) for text in texts]
            runs = rng.integers(0, len(RUNS), len(texts)).tolist()
            return [_LAST.sub(RUNS[run], text, count=1) for text, run in zip(texts, runs, strict=True)]

        return spoil_texts(sample, self.columns, hit, change)
