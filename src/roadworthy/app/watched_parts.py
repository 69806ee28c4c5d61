"""What the tending loop tells Prometheus of log, alarms and detectors: the measurements for `Watched.put`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.observe.alerts import open_alerts
from roadworthy.store.events import read_events
from roadworthy.store.records import RecordLog

if TYPE_CHECKING:
    from sqlalchemy import Engine


def log_parts(records: RecordLog) -> list[Measurement]:
    """The rows of the log by where they lie, its sealed files by state, and the rows that a full disk cost."""
    segments = records.segments()
    states = Counter(segment.state for segment in segments)
    sealed = sum(segment.rows for segment in segments if segment.state == "live")
    rows = {"sealed": sealed, "hot": records.count() - sealed}
    lost = sum(gap.rows for gap in records.gaps())
    return [
        *(_count("log_rows", n, of) for of, n in rows.items()),
        *(_count("log_segments", states[state], state) for state in ("live", "corrupt", "removed")),
        _count("log_dropped", lost),
    ]


def alarms(engine: Engine, deployment: str) -> list[Measurement]:
    """A 1 for each alarm that is on, and how many alerts could not be told to somebody."""
    undelivered = [event for event in read_events(engine, "alert_undelivered") if _of(event.subject, deployment)]
    names = open_alerts(engine, deployment)
    return [*(_count("alerts_open", 1, name) for name in names), _count("alerts_undelivered", len(undelivered))]


def effects(verdicts: Iterable[Verdict]) -> list[Measurement]:
    """How far each column moved, by the statistic that measured it; text health keeps its own name."""
    found = (one for verdict in verdicts for one in verdict.evidence)
    return [one if one.name == "text_health" else _as("drift_effect", one) for one in found]


def qualities(measured: Iterable[Measurement]) -> list[Measurement]:
    """Quality on labels, or an estimate of it, by the metric's name."""
    return [_as("quality", one) for one in measured]


def _as(name: str, one: Measurement) -> Measurement:
    return replace(one, name=name, conditions={**one.conditions, "of": one.name})


def _count(name: str, n: int, of: str = "") -> Measurement:
    """A count has no error, and a count of nothing is a 0 that is known."""
    return Measurement(name, float(n), max(1, n), float(n), float(n), conditions={"of": of} if of else {})


def _of(subject: str, deployment: str) -> bool:
    return subject.startswith(f"{deployment}/")
