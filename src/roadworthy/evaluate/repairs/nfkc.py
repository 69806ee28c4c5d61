"""Nfkc: full-width, ligature and decomposed letters become the plain ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from roadworthy.core.sample import Sample
from roadworthy.core.tidy import Step
from roadworthy.evaluate.base import repair
from roadworthy.evaluate.text.texts import tidy_plan, tidy_texts


@repair("nfkc")
@dataclass(frozen=True)
class Nfkc:
    """Letters in a form of their own (full width, ligatures, split accents) become the plain ones.

    Unicode Annex 15, NFKC. `columns` are mended, of all text and categories those that are plain in the lab.
    """

    columns: tuple[str, ...] = ()
    steps: ClassVar[tuple[Step, ...]] = ("nfkc",)

    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        return tidy_texts(sample, lab, self.columns, self.steps)

    def plan(self, lab: Sample) -> Mapping[str, Any] | None:
        """What does the same in front of the model, under `preprocessing` of the project file; None where nothing."""
        return tidy_plan(lab, self.columns, self.steps)
