"""A Profile is what a release remembers of the rows it was made on: under 50 KB, whatever their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from roadworthy.core.columns import NAMED_BYTES, Numbers, Values, Vectors, numbers_in
from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.core.spec import Field, Kind
from roadworthy.core.stats import calibration_error
from roadworthy.core.text_features import Texts
from roadworthy.core.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

Column = Numbers | Values | Texts | Vectors
Part = Numbers | Values

CONFIDENCE = "confidence"
# A reference keeps so many of its rows themselves.
MOST_ROWS = 2_000
_FEW_COLUMNS, _MANY_COLUMNS = 25, 60
DAY = 86_400.0
# Weeks are alike; of stretches longer than that there are too few in any reference.
MOST_DAYS, LEAST_STRETCHES = 7, 8


class Profile(Struct, frozen=True, omit_defaults=True):
    """What the columns of `n` rows hold, counted; `labels` where they are known, `calibration` where it can be told.

    `spreads` are how far labels and stated probabilities lie apart on average over 1, 2, ... days in a row (root of the
    mean square): rows of one day share its weather, so that this is more than independent rows would give.

    Profiles on one frame are a monoid: `Profile()` is none of the rows, and `merge` counts the rows of both. The frame
    (cells, vocabulary) is fixed by the first rows; later ones are counted `like` it.
    """

    n: int = 0
    inputs: Mapping[str, Column] = {}
    outputs: Mapping[str, Column] = {}
    confidence: Numbers | None = None
    labels: Numbers | None = None
    calibration: Measurement | None = None
    since: float | None = None
    until: float | None = None
    spreads: tuple[float, ...] = ()

    @classmethod
    def of(cls, window: Window, fields: Mapping[str, Field] | None = None, like: Profile | None = None) -> Profile:
        """Count a window, on the frame of `like` where one is given; `fields` says what its columns are.

        Without a field, a column is what it looks like: numbers, vectors, categories, or texts of several words.
        """
        like, fields = like or cls(), fields or {}
        columns = len(window.inputs) + len(window.outputs)
        bits = 5 if columns <= _FEW_COLUMNS else 4 if columns <= _MANY_COLUMNS else 3

        def counted(columns: Mapping[str, NDArray[Any]], seen: Mapping[str, Column]) -> dict[str, Column]:
            return {name: count(c, fields.get(name), seen.get(name), bits) for name, c in columns.items()}

        at = window.at[np.isfinite(window.at)]
        labels = window.labels[~np.isnan(window.labels)]
        return cls(
            window.n,
            counted(window.inputs, like.inputs),
            counted(window.outputs, like.outputs),
            confidence=_confidence(window, like, bits),
            labels=Numbers.of(labels, like.labels, bits) if len(labels) else None,
            calibration=_calibration(window),
            spreads=_spreads(window),
            since=float(at.min()) if len(at) else None,
            until=float(at.max()) if len(at) else None,
        )

    def merge(self, other: Profile) -> Profile:
        """The profile of the rows of both; where they lie on one frame, the same as if it was made at once.

        A column that only one of them has is null in the rows of the other. The calibration is that of the larger one.
        """
        if not self.n or not other.n:
            return self if self.n else other
        stated = [p.calibration for p in (self, other) if p.calibration]
        began, ended = ([p for p in (a, b) if p is not None] for a, b in zip(*map(_span, (self, other)), strict=True))
        return Profile(
            self.n + other.n,
            _merge_columns(self.inputs, other.inputs, self.n, other.n),
            _merge_columns(self.outputs, other.outputs, self.n, other.n),
            confidence=_merge_numbers(self.confidence, other.confidence, self.n, other.n),
            labels=_merge_numbers(self.labels, other.labels, 0, 0),
            calibration=max(stated, key=lambda m: m.n) if stated else None,
            since=min(began, default=None),
            until=max(ended, default=None),
            spreads=max((self, other), key=lambda p: p.n if p.spreads else 0).spreads,
        )

    def columns(self) -> dict[str, Column]:
        """Inputs, outputs and `confidence` by name; an output with the name of an input is `outputs.NAME`."""
        outputs = {(f"outputs.{n}" if n in self.inputs else n): c for n, c in self.outputs.items()}
        found: dict[str, Column] = {**self.inputs, **outputs}
        if self.confidence is not None:
            found.setdefault(CONFIDENCE, self.confidence)
        return found

    @property
    def rate(self) -> float | None:
        """The mean of the labels, which is the rate of label 1 where they are 0 and 1."""
        return self.labels.mean if self.labels else None


def count(column: Any, described: Field | None = None, like: Column | None = None, bits: int = 5) -> Column:
    """Count one column as the kind of `like`, else as its field says, else as it looks."""
    kind = kind_of(column, described)
    if isinstance(like, Vectors) or (like is None and kind == "image"):
        return _vectors(column, like if isinstance(like, Vectors) else None)
    if isinstance(like, Texts) or (like is None and kind == "text"):
        return Texts.of(column, like if isinstance(like, Texts) else None, bits)
    if isinstance(like, Values) or (like is None and kind in ("category", "boolean")):
        named = NAMED_BYTES >> (5 - bits)
        return Values.of(column, like, "boolean" if kind == "boolean" else "category", named)
    return Numbers.of(column, like if isinstance(like, Numbers) else None, bits)


def kind_of(column: Any, described: Field | None = None) -> Kind:
    """What a column is to a profile; a vector is an `image`."""
    array = column if isinstance(column, np.ndarray) else None
    if (array is not None and array.ndim > 1) or (described and described.width > 1):
        return "image"
    if described:
        return described.kind
    if array is None:
        dtype = str(column.dtype)
        if dtype.startswith(("List", "Array")):
            return "image"
        if dtype == "Boolean":
            return "boolean"
        text = dtype.startswith(("String", "Categorical", "Enum"))
        array = np.array(column.head(1000).to_list(), object) if text else numbers_in(column)
    if array.dtype.kind == "b":
        return "boolean"
    if array.dtype.kind in "OUS":
        return _kind_of_text(array)
    # Of a column of nulls alone nobody knows what it will hold, and categories take anything.
    return "number" if len(array) == 0 or array.dtype.kind not in "f" or not np.isnan(array).all() else "category"


def _kind_of_text(array: NDArray[Any]) -> Kind:
    known = [v for v in array[:: max(1, len(array) // 200)].tolist() if v is not None and v == v]
    if known and not any(isinstance(v, str) for v in known):
        return "number"
    blanks = [v.count(" ") for v in known if isinstance(v, str)]
    return "text" if blanks and sum(blanks) >= 3 * len(blanks) else "category"


@dataclass(frozen=True)
class Reference(Window):
    """What arrives now is compared with this: the profile of all rows, and a sample of them as a Window."""

    profile: Profile = field(default_factory=Profile)

    @classmethod
    def of(
        cls,
        records: Sequence[Record] | Window,
        fields: Mapping[str, Field] | None = None,
        most_rows: int = MOST_ROWS,
        profile: Profile | None = None,
    ) -> Reference:
        """A reference of records or a window: the profile, and at most `most_rows` rows, always drawn the same way.

        A reference stays as it is; `profile` is given where the rows are a sample of those that it counted.
        """
        if isinstance(records, Reference) and profile is None:
            return records
        kept = window = records if isinstance(records, Window) else Window.of(records)
        if window.n > most_rows:
            kept = window.take(np.sort(np.random.default_rng(0).choice(window.n, most_rows, replace=False)))
        return cls(
            kept.inputs,
            kept.outputs,
            kept.labels,
            kept.at,
            kept.tags,
            kept.ids,
            kept.confidence,
            kept.known_at,
            profile=profile or Profile.of(window, fields),
        )


def _vectors(column: Any, like: Vectors | None) -> Column:
    """A column of vectors; one that holds something else now, or vectors of another width, is null throughout."""
    rows = column if isinstance(column, np.ndarray) else np.array(column.to_list(), np.float64)
    if like is not None and (rows.dtype == object or rows.ndim < 2 or rows[:1].size != like.width * len(rows[:1])):
        rows = np.full((len(rows), like.width), np.nan)
    return Vectors.of(rows, like)


def _confidence(window: Window, like: Profile, bits: int) -> Numbers | None:
    """Of a model that states none, every row has a confidence of NaN."""
    if window.confidence is None or np.isnan(window.confidence).all():
        return None
    return Numbers.of(window.confidence, like.confidence, bits)


def _calibration(window: Window) -> Measurement | None:
    """The calibration error of the only output, where that is a probability and labels are 0 or 1."""
    rows = _foretold(window)
    found = None if rows is None else calibration_error(window.labels[rows], _stated(window)[rows])
    return found if found is not None and found.n else None


def _foretold(window: Window) -> NDArray[np.bool_] | None:
    """The rows with a label of 0 or 1 and a stated probability of 1; None where the answers are no such thing."""
    if len(window.outputs) != 1 or kind_of(next(iter(window.outputs.values()))) != "number":
        return None
    stated = _stated(window)
    known = ~np.isnan(window.labels) & ~np.isnan(stated)
    labels, stated = window.labels[known], stated[known]
    if not len(labels) or ((labels != 0) & (labels != 1)).any() or ((stated < 0) | (stated > 1)).any():
        return None
    return known


def _stated(window: Window) -> NDArray[np.float64]:
    return np.asarray(numbers_in(next(iter(window.outputs.values()))), np.float64)


def _spreads(window: Window) -> tuple[float, ...]:
    """For 1 to MOST_DAYS days in a row; only where there are several such stretches to tell it by."""
    rows = _foretold(window)
    if rows is None or not np.isfinite(window.at[rows]).all():
        return ()
    days = (window.at[rows] // DAY).astype(np.int64)
    days -= days.min()
    n, apart = np.bincount(days), np.bincount(days, window.labels[rows] - _stated(window)[rows])
    found = []
    for length in range(1, min(MOST_DAYS, len(n) // LEAST_STRETCHES) + 1):
        held, gap = (np.convolve(column, np.ones(length), "valid") for column in (n, apart))
        found.append(float(np.sqrt(((gap / np.maximum(held, 1)) ** 2)[held > 0].mean())))
    return tuple(found)


def _span(profile: Profile) -> tuple[float | None, float | None]:
    return profile.since, profile.until


def _merge_columns(one: Mapping[str, Column], other: Mapping[str, Column], n: int, m: int) -> dict[str, Column]:
    merged = {}
    for name in dict.fromkeys((*one, *other)):
        left, right = one.get(name), other.get(name)
        if left is None or right is None:
            merged[name] = _merge_one(left, right, n, m)
        elif type(left) is type(right):
            merged[name] = left.merge(right)  # type: ignore[arg-type]  # mypy does not see that both are of one type
        else:
            kinds = f"{type(left).__name__} and {type(right).__name__}"
            raise ValueError(f"column {name!r} is {kinds}: make the second profile `like` the first")
    return merged


def _merge_numbers(one: Numbers | None, other: Numbers | None, n: int, m: int) -> Numbers | None:
    if one is None or other is None:
        return one.without(m) if one else other.without(n) if other else None
    return one.merge(other)


def _merge_one(one: Column | None, other: Column | None, n: int, m: int) -> Column:
    """The column of two tables of n and m rows, one of which lacks it."""
    if one is not None:
        return one.without(m)
    if other is None:
        raise ValueError("neither profile has the column")
    return other.without(n)
