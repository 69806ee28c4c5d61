"""Delivers alerts: what a sink could not be told is told later, in order, once, whatever dies in between."""

from __future__ import annotations

import http.client
import math
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Engine, insert

from roadworthy.core.errors import RoadworthyError
from roadworthy.observe.alert import DAY, Alert, Sink
from roadworthy.store.events import Event, read_events, write_event
from roadworthy.store.metadata import events

# After each failure twice as long, from a minute to half an hour.
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 60.0, 1800.0
GIVE_UP_DAYS = 7.0


class Attempt(Struct, frozen=True):
    """One alert told to one sink, or not: `error` says why."""

    alert: str
    sink: str
    error: str = ""


class Due(Struct, frozen=True):
    """The event `alert` is to be told to `sink`."""

    alert: int
    sink: str
    error: str = ""


def wants(sink: Sink, alert: Alert) -> bool:
    """Whether a sink is told of this: its settings `severities` and `deployments` say so, empty ones mean all."""
    severities, deployments = (getattr(sink, name, ()) for name in ("severities", "deployments"))
    return (not severities or alert.severity in severities) and (not deployments or alert.deployment in deployments)


def write_with_dues(engine: Engine, alert: Alert, sinks: Iterable[Sink]) -> int:
    """Write an alert and whom it is to be told to, in one transaction; the number of its event."""
    due = [repr(sink) for sink in sinks if alert.is_due and wants(sink, alert)]
    with engine.begin() as connection:
        row = insert(events).values(_row(alert, "alert", msgspec.json.encode(alert))).returning(events.c.seq)
        seq: int = connection.execute(row).scalar_one()
        rows = [_row(alert, "alert_due", msgspec.json.encode(Due(seq, sink))) for sink in due]
        if rows:
            connection.execute(insert(events), rows)
    return seq


def deliver(engine: Engine, sinks: Sequence[Sink], now: float, since: float | None = None) -> list[Attempt]:
    """Tell each sink what it has not heard yet, oldest first.

    A sink that fails is left alone for a minute, then for two, up to half an hour, and an alert is given up after a
    week. A process that dies between telling and writing so tells twice; alerts carry a key by which receivers know.
    Where the alerts at hand span a longer time, that week ends at `since`.
    """
    pending = _pending(engine, now if since is None else since)
    attempts: list[Attempt] = []
    for sink in sinks if pending else ():
        for due, alert, tries in pending.get(repr(sink), []):
            if now < _next(tries):
                break  # what is older goes first, or a receiver would hear of the end before the beginning
            attempts.append(_tell(engine, sink, due, alert, now))
            if attempts[-1].error:
                break
    return attempts


def undelivered(engine: Engine, now: float) -> list[Attempt]:
    """What sinks have not heard of yet, with the reason of the last failure."""
    pending = _pending(engine, now)
    return [
        Attempt(alert.key, sink, msgspec.convert(tries[-1].data, Due).error if tries else "")
        for sink, dues in pending.items()
        for _, alert, tries in dues
    ]


def _pending(engine: Engine, begin: float) -> dict[str, list[tuple[Due, Alert, list[Event]]]]:
    """By sink, in order: what is due, and the attempts so far."""
    since = begin - GIVE_UP_DAYS * DAY
    dues = [msgspec.convert(e.data, Due) for e in read_events(engine, kind="alert_due", since=since)]
    if not dues:
        return {}
    done = {_identity(e) for e in read_events(engine, kind="alert_delivered", since=since)}
    open_dues = [due for due in dues if (due.alert, due.sink) not in done]
    if not open_dues:
        return {}
    failed: dict[tuple[int, str], list[Event]] = {}
    for event in read_events(engine, kind="alert_undelivered", since=since):
        failed.setdefault(_identity(event), []).append(event)
    alerts = {e.seq: msgspec.convert(e.data, Alert) for e in read_events(engine, kind="alert", since=since)}
    pending: dict[str, list[tuple[Due, Alert, list[Event]]]] = {}
    for due in open_dues:
        if due.alert in alerts:
            pending.setdefault(due.sink, []).append((due, alerts[due.alert], failed.get((due.alert, due.sink), [])))
    return pending


def _tell(engine: Engine, sink: Sink, due: Due, alert: Alert, now: float) -> Attempt:
    try:
        sink(alert)
    except (OSError, http.client.HTTPException, RoadworthyError) as wrong:
        error = f"{type(wrong).__name__}: {wrong}"
        write_event(engine, now, "alert_undelivered", alert.key, {"alert": due.alert, "sink": due.sink, "error": error})
        return Attempt(alert.key, due.sink, error)
    write_event(engine, now, "alert_delivered", alert.key, {"alert": due.alert, "sink": due.sink})
    return Attempt(alert.key, due.sink)


def _next(tries: Sequence[Event]) -> float:
    """When to try again."""
    if not tries:
        return -math.inf
    return tries[-1].at + min(FIRST_WAIT_SECONDS * 2.0 ** min(len(tries) - 1, 20), LONGEST_WAIT_SECONDS)


def _identity(event: Event) -> tuple[int, str]:
    due = msgspec.convert({"alert": 0, "sink": "", **event.data}, Due)
    return due.alert, due.sink


def _row(alert: Alert, kind: str, data: bytes) -> dict[str, object]:
    return {"at": alert.at, "kind": kind, "subject": alert.key, "data": data.decode()}
