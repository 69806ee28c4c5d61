"""Quotes: curly quotes and long dashes become those of a keyboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from roadworthy.core.sample import Sample
from roadworthy.core.tidy import Step
from roadworthy.evaluate.base import repair
from roadworthy.evaluate.text.texts import tidy_plan, tidy_texts


@repair("quotes")
@dataclass(frozen=True)
class Quotes:
    """Curly quotes and long dashes, as telephones write them, become plain ones.

    `columns` are mended, of all text and categories those that have none in the lab.
    """

    columns: tuple[str, ...] = ()
    steps: ClassVar[tuple[Step, ...]] = ("quotes",)

    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        return tidy_texts(sample, lab, self.columns, self.steps)

    def plan(self, lab: Sample) -> Mapping[str, Any] | None:
        """What does the same in front of the model, under `preprocessing` of the project file; None where nothing."""
        return tidy_plan(lab, self.columns, self.steps)
