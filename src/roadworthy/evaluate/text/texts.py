"""Texts are the words in a sample: which columns hold them, and how a function is put to work on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Kind
from roadworthy.core.tidy import Step, Tidy

Change = Callable[[list[str]], Sequence[str]]


def named(sample: Sample, columns: Sequence[str], *kinds: Kind) -> tuple[str, ...]:
    """Those of `columns` that hold objects, or where none is named all of the kinds."""
    names = [name for name in columns if name in sample.columns] if columns else sample.of_kind(*kinds)
    return tuple(name for name in names if sample.columns[name].dtype == object)


def texts_of(column: NDArray[np.object_]) -> list[str]:
    """The texts of a column; nulls and whatever else is no text are left out."""
    return [text for text in column.tolist() if isinstance(text, str)]


def change_texts(sample: Sample, names: Sequence[str], hit: NDArray[np.bool_], change: Change) -> Sample:
    """The sample with the texts of these columns in the rows `hit` changed, all at once; nulls stay null."""
    changed = dict(sample.columns)
    for name in names:
        column = sample.columns[name]
        rows = [row for row in np.flatnonzero(hit) if isinstance(column[row], str)]
        if rows:
            changed[name] = column.copy()
            changed[name][rows] = np.array([*change(column[rows].tolist()), None], dtype=object)[:-1]
    return replace(sample, columns=changed)


def spoil_texts(sample: Sample, columns: Sequence[str], hit: NDArray[np.bool_], change: Change) -> Sample:
    """What every corruption of text does: `change` on the named columns, or on all text, in the rows `hit`."""
    return change_texts(sample, named(sample, columns, "text"), hit, change) if hit.any() else sample


def chances(rng: np.random.Generator) -> Iterator[float]:
    """Numbers below 1 without end, drawn in blocks: a call of the generator for each would cost more than its use."""
    while True:
        yield from rng.random(4096).tolist()


def tidy_texts(sample: Sample, lab: Sample, columns: Sequence[str], steps: tuple[Step, ...]) -> Sample:
    """What every repair of writing does: these steps on the columns that they leave as they are in the lab."""
    return mend_texts(sample, dict.fromkeys(_mendable(lab, columns, steps), Tidy(steps)))


def tidy_plan(lab: Sample, columns: Sequence[str], steps: tuple[Step, ...]) -> dict[str, Any] | None:
    """The wrapper that does in front of the model what `tidy_texts` does, None where there is nothing to do."""
    names = _mendable(lab, columns, steps)
    return {"tidy": {"columns": list(names), "steps": list(steps)}} if names else None


def _mendable(lab: Sample, columns: Sequence[str], steps: tuple[Step, ...]) -> tuple[str, ...]:
    """The columns that these steps leave as they are in the lab: what is normal there is no damage.

    One text in five may differ, but no category: a model knows each by heart.
    """
    return tuple(name for name in named(lab, columns, "text", "category") if _is_tidy(lab, name, Tidy(steps)))


def _is_tidy(lab: Sample, name: str, tidy: Tidy) -> bool:
    texts = texts_of(lab.columns[name])
    odd = sum(tidy(text) != text for text in texts)
    return odd <= (0.2 * len(texts) if name in lab.of_kind("text") else 0)


def mend_texts(sample: Sample, changes: Mapping[str, Callable[[str], str]]) -> Sample:
    """The sample with each text of these columns changed, or the sample itself where there is nothing to mend."""
    mended = dict(sample.columns)
    for name, change in changes.items():
        if name in mended and mended[name].dtype == object:
            mended[name] = _changed(mended[name], change)
    same = all(mended[name] is column for name, column in sample.columns.items())
    return sample if same else replace(sample, columns=mended)


def _changed(column: NDArray[np.object_], change: Callable[[str], str]) -> NDArray[np.object_]:
    """The column with each text changed, or the column itself where nothing changes."""
    after = [change(text) if isinstance(text, str) else text for text in column.tolist()]
    if all(new is old or new == old for new, old in zip(after, column.tolist(), strict=True)):
        return column
    return np.array([*after, None], dtype=object)[:-1]
