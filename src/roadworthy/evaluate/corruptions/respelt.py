"""Respelt: another system spells the same categories in another way, and the model knows none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.core.tidy import as_windows
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import categories, check_form, check_share, hit_rows, put, with_columns

Spelling = Literal["padded", "trailing", "stripped", "upper", "lower", "title", "underscored", "mojibake"]


@corruption("respelt")
@dataclass(frozen=True)
class Respelt:
    """Categories spelt in another `form` on `share` times severity of the rows; `columns` none named: all of them.

    "padded" puts a blank in front, "trailing" one behind, "stripped" takes both away; "mojibake" is UTF-8 that was
    read as Windows-1252, which shows only where there are letters beyond ASCII.
    """

    columns: tuple[str, ...] = ()
    form: Spelling = "padded"
    share: float = 1.0
    called: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)
        check_form(self.form, _SPELLINGS)

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit, spell = hit_rows(sample, self.share * severity, rng), _SPELLINGS[self.form]
        spoilt = {}
        for name in categories(sample, self.columns):
            column = sample.columns[name]
            again = {value: spell(value) for value in set(column) if isinstance(value, str)}
            spoilt[name] = put(column, hit, [again.get(value, value) for value in column])
        return with_columns(sample, spoilt)


_SPELLINGS: Mapping[Spelling, Callable[[str], str]] = {
    "padded": lambda text: " " + text,
    "trailing": lambda text: text + " ",
    "stripped": str.strip,
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
    "underscored": lambda text: text.replace(" ", "_").replace("-", "_"),
    "mojibake": as_windows,
}
