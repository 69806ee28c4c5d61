"""Experience: every row whose outcome is known by now, from the history file and from the records, read once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roadworthy.cli.flows import DAY, read
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Spec
from roadworthy.core.window import column
from roadworthy.learn.retrain import training_sample

if TYPE_CHECKING:
    from roadworthy.store.records import RecordLog


class Experience:
    """Grows with the log, which is read once. An outcome that takes longer than `patience_days` is not waited for."""

    def __init__(self, spec: Spec, records: RecordLog, patience_days: float = 3.0) -> None:
        self._records = records
        self._patience = patience_days * DAY
        self._read_until: float | None = None
        nothing = Sample({name: column([]) for name in spec.application.inputs})
        self._rows = read(spec, "history") if spec.data.history else nothing

    def known(self, now: float) -> Sample:
        """The rows whose outcome was known at `now` (Unix seconds), oldest first. Nothing later is in it."""
        since = None if self._read_until is None else self._read_until - self._patience
        recent = self._records.read(since=since, until=now, arms=("stable", "canary"))
        self._rows = training_sample(self._rows, recent, now)
        self._read_until = now
        return self._rows
