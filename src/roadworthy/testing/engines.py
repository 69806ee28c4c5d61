"""The laws of engines: a batch answers as its rows would alone, in their order, and nothing is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.serve.base import Engine

Columns = Mapping[str, NDArray[Any]]


def check_engine(leaf: type, folder: Path) -> None:
    """Run every law on the example of an engine class, its files being written into `folder`.

    The class gives one: `@classmethod def example(cls, folder: Path) -> tuple[Engine, columns]`. Raises AssertionError
    with the law that is broken.
    """
    example = getattr(leaf, "example", None)
    assert example is not None, (
        f"{leaf.__name__} has no example to check: add `@classmethod def example(cls, folder: Path)` that writes a "
        f"small model into `folder` and returns the engine and a few rows for it, as a dict of (n, width) arrays"
    )
    made, columns = example(folder)
    check_answers(made, columns)
    check_pure(made, columns)
    check_batch_equals_singles(made, columns)
    check_order(made, columns)
    check_nothing(made, columns)


def check_answers(made: Engine, columns: Columns) -> None:
    """At least three rows, an array of n rows in every output, and not the same answer to all of them."""
    n, outputs = _rows(columns), _ask(made, columns)
    assert n >= 3, f"the example of {made!r} has {n} rows; the laws need at least 3"
    assert outputs, f"{made!r} answers no output at all"
    for name, values in outputs.items():
        assert len(values) == n, f"{made!r} was given {n} rows and answers {len(values)} in {name!r}"
    told_apart = any(len({row.tobytes() for row in _numbers(values)}) > 1 for values in outputs.values())
    assert told_apart, f"{made!r} answers the same to every row of its example, which would hide a wrong order"


def check_pure(made: Engine, columns: Columns) -> None:
    """The same rows get the same answer again, and are not changed on the way."""
    given = {name: values.copy() for name, values in columns.items()}
    first = {name: np.array(values) for name, values in made(given).items()}
    for name, values in columns.items():
        same = np.array_equal(_numbers(given[name]), _numbers(values), equal_nan=values.dtype != object)
        assert same, f"{made!r} changes its input {name!r}; other handlers still need it"
    _same(made, first, _ask(made, columns), "answers otherwise when it is asked the same again")


def check_batch_equals_singles(made: Engine, columns: Columns) -> None:
    """A row's answer does not depend on which rows it was batched with."""
    whole, n = _ask(made, columns), _rows(columns)
    for size in (1, 2):
        parts = [_ask(made, _take(columns, slice(k, k + size))) for k in range(0, n, size)]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in whole}
        _same(made, whole, joined, f"answers {n} rows at once otherwise than {size} at a time")


def check_order(made: Engine, columns: Columns) -> None:
    """Answers stand in the order of the rows, whichever that is."""
    order = np.random.default_rng(0).permutation(_rows(columns))
    whole, shuffled = _ask(made, columns), _ask(made, _take(columns, order))
    _same(made, _take(whole, order), shuffled, "does not keep the order of its rows")


def check_nothing(made: Engine, columns: Columns) -> None:
    """No rows in give no rows out, under the same names."""
    whole = _ask(made, columns)
    try:
        nothing = _ask(made, _take(columns, slice(0, 0)))
    except Exception as wrong:
        raise AssertionError(f"{made!r} must answer no rows to no rows, and raises {wrong!r}") from wrong
    assert set(nothing) == set(whole), f"{made!r} answers {sorted(nothing)} to no rows, else {sorted(whole)}"
    for name, values in nothing.items():
        assert len(values) == 0, f"{made!r} answers {len(values)} rows in {name!r} to no rows"


def _ask(made: Engine, columns: Columns) -> dict[str, NDArray[Any]]:
    # Copies both: an engine may answer with an array that it uses again, and a faulty one changes what it is given.
    return {name: np.array(values) for name, values in made(_take(columns, slice(None))).items()}


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _take(columns: Columns, rows: Any) -> dict[str, NDArray[Any]]:
    return {name: values[rows].copy() for name, values in columns.items()}


def _same(made: Engine, expected: Columns, got: Columns, broken: str) -> None:
    assert set(expected) == set(got), f"{made!r} {broken}: outputs {sorted(got)} instead of {sorted(expected)}"
    for name, values in expected.items():
        a, b = _numbers(values), _numbers(got[name])
        if a.dtype.kind in "fiub":
            close = a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-6, equal_nan=True)
        else:
            close = np.array_equal(a, b)
        assert close, f"{made!r} {broken}: {name!r} is {b.tolist()} instead of {a.tolist()}"


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as float64; text as text, so that a null and the word "None" are told apart by their brackets."""
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    return np.array([repr(value) for value in values.reshape(-1)]).reshape(values.shape)
