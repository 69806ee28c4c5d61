"""Knowledge is what the answers to lab and production tell of themselves: how sure, and by which of several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.evaluate.answers import Answers
from roadworthy.evaluate.certainty.certainty import Certainty, Where, certainty
from roadworthy.evaluate.certainty.who_answered import WhoAnswered, who_answered
from roadworthy.evaluate.paired import rightness
from roadworthy.evaluate.scoring import chosen, known
from roadworthy.evaluate.subject import Subject

Tables = Mapping[Where, tuple[Sample, Answers]]


@dataclass(frozen=True)
class Knowledge:
    """Two sections of a report, each with an entry a table: `answered_by` has none where one model answers alone."""

    certainty: tuple[Certainty, ...]
    answered_by: tuple[WhoAnswered, ...]

    @classmethod
    def of(
        cls, subject: Subject, tables: Tables, members: Sequence[str] = (), target: float | None = None
    ) -> Knowledge:
        """What the answers tell; `members` and `target` are those of `gap`."""
        by = [_answered_by(subject, where, *table, members) for where, table in tables.items()]
        return cls(
            tuple(_certain(subject, where, *table, target) for where, table in tables.items()),
            tuple(one for one in by if one is not None),
        )

    @property
    def in_production(self) -> tuple[Measurement, ...]:
        """What a requirement may be about."""
        sections: tuple[Certainty | WhoAnswered, ...] = (*self.certainty, *self.answered_by)
        return tuple(m for one in sections if one.where == "production" for m in one.figures)

    @property
    def mixture(self) -> WhoAnswered | None:
        """Who answered in production."""
        return next((one for one in self.answered_by if one.where == "production"), None)

    def sections(self) -> dict[str, Any]:
        """What was found, under the names of a report's sections."""
        return {"certainty": self.certainty, "answered_by": self.answered_by}


def _certain(subject: Subject, where: Where, sample: Sample, found: Answers, target: float | None) -> Certainty:
    application = subject.application
    # A written answer is right by the metric that it is scored with, a class where it is the class.
    right = rightness(subject.metrics[0] if application.task == "generation" else None)
    wanted = (one.at_least for one in application.requirements if one.metric == "coverage" and not one.where)
    promised = next(wanted, None) if target is None else target
    return certainty(where, application, subject.labels(sample), found, right, promised)


def _answered_by(
    subject: Subject, where: Where, sample: Sample, found: Answers, members: Sequence[str]
) -> WhoAnswered | None:
    def measure(rows: NDArray[np.bool_], place: str) -> tuple[Measurement, ...]:
        return subject.measure(sample, found, rows, place)

    same = _alike(subject, found) if found.told.beside is not None else None
    return who_answered(where, found.told, known(found.values), measure, members, same)


def _alike(subject: Subject, found: Answers) -> NDArray[np.float64] | None:
    """1 where the model asked beside decides as the answer does, 0 where it does not, NaN where none was asked."""
    beside, values = found.told.beside, found.values
    if subject.application.task not in ("binary", "multiclass") or beside is None or beside.shape != values.shape:
        return None
    both = known(beside, values)
    same = np.full(len(values), np.nan)
    same[both] = chosen(beside[both]) == chosen(values[both])
    return same
