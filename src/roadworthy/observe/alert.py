"""An Alert: what is told of an alarm, by a detector or a rule, with its likeliest causes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from roadworthy.core.measure import Measurement

DAY = 86_400.0
# The `told_at` of an alarm that nobody was told of, because it is silenced or goes with another one.
NEVER = -1.0

Severity = Literal["page", "ticket"]
Status = Literal["raised", "again", "acknowledged", "resolved"]


class CauseTable(Struct, frozen=True, omit_defaults=True):
    """What lies behind an alarm, as far as we can tell: a sentence, and rows with the likeliest cause first."""

    summary: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


class Alert(Struct, frozen=True, omit_defaults=True):
    """What a detector or rule says about a deployment at `at`: an alarm that began (`raised`), goes on or is over.

    `since` and `until` bound the rows that it looked at, `first_at` is when the alarm began and `told_at` when
    somebody was last told of it (Unix seconds all). `silenced` is the number of the silence that kept it quiet,
    `grouped_under` the key of the alarm that was told instead, and `also` the keys of those told with this one.
    `where` narrows it to a tag, as `tenant=acme`.
    """

    deployment: str
    detector: str
    status: Status
    at: float
    because: str
    since: float
    until: float
    first_at: float
    told_at: float
    release: str = ""
    evidence: tuple[Measurement, ...] = ()
    severity: Severity = "ticket"
    where: str = ""
    cause: CauseTable | None = None
    runbook: str = ""
    silenced: int = 0
    grouped_under: str = ""
    also: tuple[str, ...] = ()
    acknowledged_by: str = ""

    @property
    def key(self) -> str:
        """Alerts with one key are one alarm: `deployment/detector`."""
        return f"{self.deployment}/{self.detector}"

    @property
    def is_due(self) -> bool:
        """Whether somebody is to be told of it now."""
        return self.told_at == self.at

    def __str__(self) -> str:
        return f"{self.key} {self.status}: {self.because}"


Sink = Callable[[Alert], None]
