"""Profiles are kept with their release, so that what arrives can be compared with what the release was made on."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct
from sqlalchemy import delete, insert, select

from roadworthy.core.errors import Missing
from roadworthy.core.profile import MOST_ROWS, Profile, Reference
from roadworthy.store.state import State

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Column(Struct, frozen=True):
    """The values of a column: numbers as the bytes of float64 rows of one `shape`, everything else as a list."""

    shape: tuple[int, ...] = ()
    numbers: bytes = b""
    values: tuple[str | float | None, ...] | None = None


class _Rows(Struct, frozen=True):
    """The rows of a reference, column by column."""

    inputs: dict[str, _Column]
    outputs: dict[str, _Column]
    tags: dict[str, _Column]
    others: dict[str, _Column]


_OTHERS = ("labels", "at", "ids", "confidence", "known_at")


def keep_profile(state: State, release: str, reference: Reference, at: float) -> None:
    """Keep what a release (digest) was made on, instead of what was kept of it before."""
    reference = Reference.of(reference)
    table = state.tables["profiles"]
    if reference.n > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(reference.n, MOST_ROWS, replace=False))
        reference = Reference.of(reference.take(rows), profile=reference.profile)
    row = {
        "release": release,
        "at": at,
        "profile": zlib.compress(msgspec.msgpack.encode(reference.profile)),
        "sample": zlib.compress(msgspec.msgpack.encode(_rows_of(reference))),
    }
    with state.engine.begin() as connection:
        connection.execute(delete(table).where(table.c.release == release))
        connection.execute(insert(table).values(**row))


def reference_of(state: State, release: str) -> Reference:
    """What a release (digest) was made on. Raises Missing, saying how to keep it."""
    table = state.tables["profiles"]
    wanted = select(table.c.profile, table.c.sample).where(table.c.release == release)
    with state.engine.execution_options(reading=True).connect() as connection:
        found = connection.execute(wanted).one_or_none()
    if found is None:
        raise Missing(
            f"no reference profile of release `{release[:12]}` is kept, so there is nothing to compare with; make one"
            " from the rows that it was trained on: `roadworthy drift --profile`"
        )
    profile = msgspec.msgpack.decode(zlib.decompress(found.profile), type=Profile)
    return _reference(msgspec.msgpack.decode(zlib.decompress(found.sample), type=_Rows), profile)


def profiled(state: State) -> Sequence[str]:
    """The releases (digests) whose reference is kept, newest first."""
    table = state.tables["profiles"]
    with state.engine.execution_options(reading=True).connect() as connection:
        return list(connection.execute(select(table.c.release).order_by(table.c.at.desc())).scalars())


def _rows_of(reference: Reference) -> _Rows:
    others = {name: getattr(reference, name) for name in _OTHERS}
    return _Rows(
        {name: _column(values) for name, values in reference.inputs.items()},
        {name: _column(values) for name, values in reference.outputs.items()},
        {name: _column(values) for name, values in reference.tags.items()},
        {name: _column(values) for name, values in others.items() if values is not None},
    )


def _reference(rows: _Rows, profile: Profile) -> Reference:
    inputs, outputs, tags = (
        {name: _values(column) for name, column in columns.items()}
        for columns in (rows.inputs, rows.outputs, rows.tags)
    )
    others: dict[str, Any] = {name: _values(column) for name, column in rows.others.items()}
    labels, at = others.pop("labels"), others.pop("at")
    return Reference(inputs, outputs, labels, at, tags, profile=profile, **others)


def _column(values: NDArray[Any]) -> _Column:
    if values.dtype.kind in "OUS":
        return _Column(values=tuple(None if v is None or v != v else v for v in values.tolist()))
    return _Column(values.shape, np.ascontiguousarray(values, "<f8").tobytes())


def _values(column: _Column) -> NDArray[Any]:
    if column.values is not None:
        return np.array(column.values, object)
    return np.frombuffer(column.numbers, "<f8").reshape(column.shape).astype(np.float64)
