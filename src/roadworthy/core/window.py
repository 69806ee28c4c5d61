"""A Window: a stretch of records as columns, which is what detectors and gates look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from roadworthy.core.record import Record
from roadworthy.core.sample import Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """`inputs` and `outputs` map a name to n values (float64 with NaN for null, or object of str/None).

    `labels` (n,) are NaN where nothing is known yet; `at` (n,) is Unix seconds. `tags` maps a name to n strings (""
    where a row has none), `ids` (n,) are strings, `confidence` (n,) and `known_at` (n,) floats with NaN for null.

    What only `of_all` fills: `errors` (n,) are None or the error in words, `seconds` maps a stage to n floats, `usd`
    and `tokens` (n,) are floats, `sets` (n,) prediction sets (a tuple, or None), `steps` maps the name of a stop on a
    row's path to n booleans (whether the row went through it), `arms` (n,) are the arm of each row.
    """

    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]
    labels: NDArray[np.float64]
    at: NDArray[np.float64]
    tags: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    ids: NDArray[np.object_] | None = None
    confidence: NDArray[np.float64] | None = None
    known_at: NDArray[np.float64] | None = None
    errors: NDArray[np.object_] | None = None
    seconds: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    usd: NDArray[np.float64] | None = None
    tokens: NDArray[np.float64] | None = None
    sets: NDArray[np.object_] | None = None
    steps: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    arms: NDArray[np.object_] | None = None

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.at)

    @classmethod
    def of(cls, records: Sequence[Record]) -> Window:
        """The columns of the records that have an answer; failed ones carry no output to look at."""
        import numpy as np

        answered = [r for r in records if r.error is None]
        inputs = _columns([r.inputs for r in answered])
        outputs = _columns([r.outputs for r in answered])
        tags = {name: [r.tags.get(name, "") for r in answered] for name in {n for r in answered for n in r.tags}}
        return cls(
            inputs,
            outputs,
            _floats([r.label for r in answered]),
            np.array([r.at for r in answered], np.float64),
            {name: np.array(values, object) for name, values in sorted(tags.items())},
            np.array([r.id for r in answered], object),
            _floats([r.confidence for r in answered]),
            _floats([r.label_at for r in answered]),
        )

    @classmethod
    def of_all(cls, records: Sequence[Record]) -> Window:
        """Every column of every record, of those that failed too; what they did not answer is NaN or None."""
        tags = {name: "" for r in records for name in r.tags}
        steps = dict.fromkeys(step.at for r in records for step in r.path)
        on_way = [{step.at for step in r.path} for r in records]
        return cls(
            {name: _any([r.inputs.get(name) for r in records]) for name in _names(r.inputs for r in records)},
            {name: _any([r.outputs.get(name) for r in records]) for name in _names(r.outputs for r in records)},
            _floats([r.label for r in records]),
            _floats([r.at for r in records]),
            {name: _objects([r.tags.get(name, "") for r in records]) for name in sorted(tags)},
            _objects([r.id for r in records]),
            _floats([r.confidence for r in records]),
            _floats([r.label_at for r in records]),
            _objects([r.error for r in records]),
            {name: _floats([r.seconds.get(name) for r in records]) for name in _names(r.seconds for r in records)},
            _floats([r.usd for r in records]),
            _floats([r.tokens for r in records]),
            _objects([r.prediction_set for r in records]),
            {name: _flags([name in way for way in on_way]) for name in steps},
            _objects([r.arm for r in records]),
        )

    @classmethod
    def of_sample(cls, sample: Sample, outputs: Mapping[str, NDArray[Any]] | None = None) -> Window:
        """A reference window from a table, such as the rows that a release was trained on."""
        import numpy as np

        unknown = np.full(sample.n, np.nan)
        labels = unknown if sample.labels is None else sample.labels
        at = unknown if sample.at is None else sample.at
        known = unknown if sample.known_at is None else sample.known_at
        return cls(sample.columns, outputs or {}, labels, at, sample.tags, sample.ids, known_at=known)

    def take(self, rows: NDArray[Any] | slice) -> Window:
        """The same columns with the given rows only (a slice, an index array or a mask of n booleans)."""

        def part(column: NDArray[Any] | None) -> Any:
            return None if column is None else column[rows]

        return Window(
            {name: part(c) for name, c in self.inputs.items()},
            {name: part(c) for name, c in self.outputs.items()},
            part(self.labels),
            part(self.at),
            {name: part(c) for name, c in self.tags.items()},
            part(self.ids),
            part(self.confidence),
            part(self.known_at),
            part(self.errors),
            {name: part(c) for name, c in self.seconds.items()},
            part(self.usd),
            part(self.tokens),
            part(self.sets),
            {name: part(c) for name, c in self.steps.items()},
            part(self.arms),
        )

    def join(self, more: Window) -> Window:
        """These rows and then those; a column that one of them lacks is unknown there."""

        def both(one: NDArray[Any] | None, other: NDArray[Any] | None, unknown: Any) -> Any:
            if one is None and other is None:
                return None
            return _end_to_end(one, self.n, other, more.n, unknown)

        def each(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]], unknown: Any) -> dict[str, Any]:
            return {name: both(one.get(name), other.get(name), unknown) for name in dict.fromkeys([*one, *other])}

        return Window(
            each(self.inputs, more.inputs, None),
            each(self.outputs, more.outputs, None),
            both(self.labels, more.labels, None),
            both(self.at, more.at, None),
            each(self.tags, more.tags, ""),
            both(self.ids, more.ids, None),
            both(self.confidence, more.confidence, None),
            both(self.known_at, more.known_at, None),
            both(self.errors, more.errors, None),
            each(self.seconds, more.seconds, None),
            both(self.usd, more.usd, None),
            both(self.tokens, more.tokens, None),
            both(self.sets, more.sets, None),
            each(self.steps, more.steps, False),
            both(self.arms, more.arms, None),
        )


def _end_to_end(
    one: NDArray[Any] | None, rows: int, other: NDArray[Any] | None, more: int, unknown: Any
) -> NDArray[Any]:
    """Both columns behind each other; where one is missing, `unknown`, which is NaN beside floats."""
    import numpy as np

    there = one if one is not None else other
    assert there is not None
    filler = np.nan if unknown is None and there.dtype != object else unknown

    def column_or_filler(column: NDArray[Any] | None, n: int) -> NDArray[Any]:
        return np.full((n, *there.shape[1:]), filler, there.dtype) if column is None else column

    parts = column_or_filler(one, rows), column_or_filler(other, more)
    # Text in one of them, or vectors of two widths, make a column of objects, where a missing number is None.
    if parts[0].dtype != parts[1].dtype or parts[0].shape[1:] != parts[1].shape[1:]:
        parts = _as_objects(parts[0]), _as_objects(parts[1])
    return np.concatenate(parts)


def _as_objects(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype == object:
        return values
    return _objects(values.tolist() if values.ndim > 1 else [None if v != v else v for v in values.tolist()])


def _objects(values: Sequence[Any]) -> NDArray[np.object_]:
    """One object a row, also where these are sequences themselves."""
    import numpy as np

    found = np.empty(len(values), object)
    found[:] = values
    return found


def _any(values: Sequence[Any]) -> NDArray[Any]:
    """As `column`, where a row may hold a vector, and others vectors of another width, or none."""
    widths = {len(v) if hasattr(v, "__len__") and not isinstance(v, str) else -1 for v in values}
    return column(values) if len(widths) <= 1 or widths == {-1} else _objects(values)


def _flags(values: Sequence[bool]) -> NDArray[np.bool_]:
    import numpy as np

    return np.array(values, np.bool_)


def _names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def column(values: Sequence[Any]) -> NDArray[Any]:
    """Numbers, or vectors of one width, as float64 with NaN for None; object for text, and for unlike widths."""
    import numpy as np

    if any(isinstance(v, str) for v in values):
        return np.array(values, dtype=object)
    try:
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    except ValueError:
        widths = {len(v) if hasattr(v, "__len__") else 0 for v in values if v is not None}
    if len(widths) > 1 or 0 in widths:
        return _objects(values)
    absent = [np.nan] * widths.pop()
    return np.array([absent if v is None else v for v in values], dtype=np.float64)


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    import numpy as np

    return np.array([np.nan if v is None else v for v in values], np.float64)


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    return {name: column([row.get(name) for row in rows]) for name in _names(rows)}
