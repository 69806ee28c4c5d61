"""Missing: single values do not arrive, at random or because of what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import check_form, check_share, is_null, null_of, put, with_columns


@corruption("missing")
@dataclass(frozen=True)
class Missing:
    """Null in `share` times severity of each of `columns` (none named: all there are), column by column.

    `form` is Rubin's (1976): "mcar" takes values completely at random, "mar" those of the rows where another column is
    at one end of its range, "mnar" those that are themselves at one end (the rich do not tell what they earn).
    """

    columns: tuple[str, ...] = ()
    form: Literal["mcar", "mar", "mnar"] = "mcar"
    share: float = 0.5
    called: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)
        check_form(self.form, ("mcar", "mar", "mnar"))

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        spoilt = {}
        for name, column in sample.columns.items():
            if not self.columns or name in self.columns:
                hit = self._depth(sample, name, rng) < self.share * severity
                spoilt[name] = put(column, hit, null_of(column))
        return with_columns(sample, spoilt)

    def _depth(self, sample: Sample, name: str, rng: np.random.Generator) -> NDArray[np.float64]:
        """A number from 0 to 1 for each row; those of the smallest go missing first."""
        others = [other for other in sample.columns if other != name]
        if self.form == "mcar" or (self.form == "mar" and not others):
            return np.asarray(rng.random(sample.n))
        driver = name if self.form == "mnar" else str(rng.choice(others))
        return _places(sample.columns[driver], rng) / max(1, sample.n)


def _places(column: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float64]:
    """The place of each row in the order of its values, from an end that is drawn; ties are drawn, nulls come last."""
    end = rng.choice([-1.0, 1.0])
    order = np.lexsort((rng.random(len(column)), end * _values(column, rng), is_null(column)))
    places = np.empty(len(column))
    places[order] = np.arange(len(column))
    return places


def _values(column: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float64]:
    """What the rows are ordered by: a number itself, the mean of a vector, text by a number drawn for each value."""
    if column.dtype != object:
        return np.asarray(np.nan_to_num(column).mean(axis=tuple(range(1, column.ndim))))
    found, inverse = np.unique(column.astype(str), return_inverse=True)
    return np.asarray(rng.permutation(len(found))[inverse], dtype=np.float64)
