"""Naughty strings: texts that are odd, broken, hostile, empty or endless arrive where sentences were expected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import Case, edge
from roadworthy.evaluate.hostile.edge_rows import asked, ordinary_row, with_value
from roadworthy.evaluate.hostile.naughty_strings import naughty_strings

# A guard may turn these away, a field may be required, and half a character has no UTF-8: refusing is right as well.
REFUSABLE = ("empty", "blank", "lone surrogates", "controls", "noncharacters", "special tokens", "instructions", "long")
MOST_CHARACTERS = 10_000


@edge("naughty_strings")
@dataclass(frozen=True)
class NaughtyStrings:
    """Odd, broken, hostile, empty or endless text in each of `columns` (none named: all text).

    `path` names a JSON list of one's own in place of ours, such as `blns.json`. Valid text of ordinary length is to be
    answered, what a careful server may turn away is to be answered or refused.
    """

    columns: tuple[str, ...] = ()
    path: str = ""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Iterator[Case]:
        for column in asked(sample, self.columns, sample.of_kind("text")):
            row = ordinary_row(sample, rng)
            for name, category, text in naughty_strings(Path(self.path) if self.path else None):
                yield Case(f"{column}: {name}", with_value(row, column, text), _right(category, text))


def _right(category: str, text: str) -> Literal["answer", "either"]:
    if category in REFUSABLE or len(text) > MOST_CHARACTERS or not text.strip():
        return "either"
    return "answer" if _is_unicode(text) else "either"


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
