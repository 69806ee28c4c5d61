"""What kind of column the values of one name make, and the kind that holds the values of two kinds.

Numbers together are floats, any other mix of single values is text, and so with the elements of lists. Single values
win over lists, both win over what fits no column (nested lists, mappings, bytes), which gets none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

# "null", "bool", "int", "float32", "float", "text", each also as "list[...]", or "other".
Kind = str

_OF_TYPE: dict[type, Kind] = {type(None): "null", bool: "bool", int: "int", float: "float", str: "text"}
_NUMBERS = {"int", "float32", "float"}
_EXACT: dict[Kind, type] = {"bool": bool, "int": int, "float": float, "text": str}


def kind_of(values: Iterable[Any]) -> Kind:
    """The kind of column that holds the values; an array counts as a list of 32-bit floats."""
    values = values if isinstance(values, list) else list(values)
    types = set(map(type, values))
    kind = "null"
    for type_ in types - {list}:
        single = "list[float32]" if type_.__name__ == "ndarray" else _OF_TYPE.get(type_, "other")
        kind = join(kind, single)
    if list in types:
        elements = set(map(type, chain.from_iterable(v for v in values if type(v) is list)))
        kind = join(kind, _list_of(elements))
    return kind


def join(one: Kind, two: Kind) -> Kind:
    """The kind of column that holds values of both."""
    if one == two:
        return one
    low, high = sorted((one, two), key=_class)
    if _class(low) < _class(high):
        return high
    if high.startswith("list["):
        return f"list[{_join_single(_element(one), _element(two))}]"
    return _join_single(one, two)


def dtype(kind: Kind) -> pl.DataType:
    """The type of the column; one that holds nothing but nulls is one of floats."""
    import polars as pl

    single: dict[Kind, pl.DataType] = {
        "null": pl.Float64(),
        "bool": pl.Boolean(),
        "int": pl.Int64(),
        "float32": pl.Float32(),
        "float": pl.Float64(),
        "text": pl.String(),
    }
    return pl.List(single[_element(kind)]) if kind.startswith("list[") else single[kind]


def series(name: str, values: list[Any], kind: Kind) -> tuple[pl.Series, list[int]]:
    """The values as a column of a kind that holds them, and the rows whose values it does not give back exactly."""
    import polars as pl

    if kind.startswith("list["):
        return _lists(name, values, kind)
    exact = {_EXACT.get(kind, type(None)), type(None)}
    try:
        if set(map(type, values)) <= exact:
            return pl.Series(name, values, dtype(kind)), []
    except (OverflowError, TypeError):  # a number of more than 64 bits
        pass
    odd = [row for row, value in enumerate(values) if type(value) not in exact or not _fits(value, kind)]
    return pl.Series(name, _shown(values, kind), dtype(kind)), odd


def cast(column: pl.Expr, have: Kind, want: Kind) -> pl.Expr:
    """A column of one kind as one of another, which `join` made of it; lists become null beside single values."""
    import polars as pl

    if have != "null" and have == want:
        return column
    if have == "null" or have.startswith("list[") != want.startswith("list["):
        return pl.lit(None, dtype(want))
    return column.cast(dtype(want))


def _lists(name: str, values: list[Any], kind: Kind) -> tuple[pl.Series, list[int]]:
    import numpy as np
    import polars as pl

    types = set(map(type, values))
    numbers = types == {np.ndarray} and kind in ("list[float32]", "list[float]")
    if numbers and len({len(value) for value in values}) == 1 and len(values[0]):
        return pl.Series(name, np.stack(values)).cast(dtype(kind)), []
    lists = [value.tolist() if isinstance(value, np.ndarray) else value for value in values]
    element = _element(kind)
    exact = {_EXACT.get(element, float if element == "float32" else type(None)), type(None)}
    elements = set(map(type, chain.from_iterable(value for value in lists if type(value) is list)))
    plain = types <= {list, np.ndarray, type(None)} and elements <= exact
    odd = [] if plain else _odd_lists(lists, exact)
    if element == "int":
        large = [row for row, held in enumerate(lists) if type(held) is list and not all(_fits(v, "int") for v in held)]
        odd = sorted({*odd, *large})
    for row in odd:
        lists[row] = _shown(lists[row], element) if type(lists[row]) is list else None
    return pl.Series(name, lists, dtype(kind)), odd


def _odd_lists(values: Sequence[Any], exact: set[type]) -> list[int]:
    return [
        row
        for row, value in enumerate(values)
        if value is not None and (type(value) is not list or not set(map(type, value)) <= exact)
    ]


def _shown(values: Sequence[Any], kind: Kind) -> list[Any]:
    """The values as near as the column comes to them."""
    as_kind = {"float": _as_float, "float32": _as_float, "text": _as_text, "int": _as_int, "bool": _as_bool}.get(kind)
    return [as_kind(value) if as_kind else None for value in values]


def _as_bool(value: Any) -> bool | None:
    return value if type(value) is bool else None


def _as_float(value: Any) -> float | None:
    if type(value) is float:
        return value
    try:
        return float(value) if type(value) is int else None
    except OverflowError:
        return None


def _as_int(value: Any) -> int | None:
    return value if type(value) is int and _fits(value, "int") else None


def _as_text(value: Any) -> str | None:
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if type(value) in (str, int, float) else None


def _fits(value: Any, kind: Kind) -> bool:
    """False for a whole number of more than 64 bits."""
    return kind != "int" or type(value) is not int or -(2**63) <= value < 2**63


def _list_of(types: set[type]) -> Kind:
    """The kind of column for lists with elements of these types; a nested list does not hide what the others need."""
    known = types & _OF_TYPE.keys()
    if types and not known:
        return "other"
    kind = "null"
    for type_ in known:
        kind = _join_single(kind, _OF_TYPE[type_])
    return f"list[{kind}]"


def _class(kind: Kind) -> int:
    if kind == "null":
        return 0
    if kind == "other":
        return 1
    return 2 if kind.startswith("list[") else 3


def _join_single(one: Kind, two: Kind) -> Kind:
    if one == two or two == "null":
        return one
    if one == "null":
        return two
    return "float" if {one, two} <= _NUMBERS else "text"


def _element(kind: Kind) -> Kind:
    return kind[5:-1] if kind.startswith("list[") else kind
