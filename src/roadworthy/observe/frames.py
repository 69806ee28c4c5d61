"""Turns a frame of the record log into a Window, and counts a log of any length piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.columns import numbers_in
from roadworthy.core.profile import Profile
from roadworthy.core.window import Window

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


def window_of(frame: pl.DataFrame) -> Window:
    """The answered rows of a frame as `state.records.scan` gives it: columns `inputs.NAME`, `outputs.NAME`, `at`, ...

    Texts stay polars columns, which the counting takes as they are; everything else becomes numpy.
    """
    if "error" in frame.columns:
        frame = frame.filter(frame["error"].is_null())
    named = {kind: _named(frame, f"{kind}.") for kind in ("inputs", "outputs")}
    tags = {
        name.removeprefix("tags."): np.array(frame[name].fill_null("").to_list(), object)
        for name in frame.columns
        if name.startswith("tags.")
    }
    ids = np.array(frame["id"].to_list(), object) if "id" in frame.columns else None
    return Window(
        named["inputs"],
        named["outputs"],
        _numbers(frame, "label"),
        _numbers(frame, "at"),
        tags,
        ids,
        _numbers(frame, "confidence"),
        _numbers(frame, "label_at"),
    )


def profile_of(frames: Iterable[pl.DataFrame], like: Profile | None = None) -> Profile:
    """The profile of a log of which only one frame at a time is in memory; the first fixes the cells without `like`."""
    total = Profile()
    for frame in frames:
        total = total.merge(Profile.of(window_of(frame), like=like or (total if total.n else None)))
    return total


def _named(frame: pl.DataFrame, prefix: str) -> dict[str, Any]:
    """The columns that some row has, without their prefix."""
    names = [name for name in frame.columns if name.startswith(prefix)]
    return {name.removeprefix(prefix): _column(frame[name]) for name in names if frame[name].null_count() < len(frame)}


def _column(column: pl.Series) -> Any:
    return numbers_in(column) if column.dtype.is_numeric() or column.dtype.is_temporal() else column


def _numbers(frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    return np.asarray(numbers_in(frame[name].cast(float)), np.float64)
