"""Vocabulary: categories that differ from the lab's by blanks or capitals become the lab's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roadworthy.core.sample import Sample
from roadworthy.core.tidy import to_vocabulary
from roadworthy.evaluate.base import repair
from roadworthy.evaluate.text.texts import mend_texts, named, texts_of


@repair("vocabulary")
@dataclass(frozen=True)
class Vocabulary:
    """A category that the lab does not know becomes the one it means: the same but for blanks, else but for case.

    `columns` (none named: all categories) are mended. What means none, or two, stays as it is.
    """

    columns: tuple[str, ...] = ()

    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        return mend_texts(sample, {name: to_vocabulary(known) for name, known in self._known(lab).items()})

    def plan(self, lab: Sample) -> Mapping[str, Any] | None:
        """What does the same in front of the model, under `preprocessing` of the project file; None where nothing."""
        known = self._known(lab)
        return {"vocabulary": {"values": known}} if known else None

    def _known(self, lab: Sample) -> dict[str, list[str]]:
        names = named(lab, self.columns, "category")
        listed = {name: lab.fields[name].values if name in lab.fields else () for name in names}
        return {name: sorted({*listed[name], *texts_of(lab.columns[name])}) for name in names}
