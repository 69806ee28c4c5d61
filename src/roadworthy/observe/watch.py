"""Runs detectors over windows of records. It raises alerts, and changes nothing that is served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Verdict
from roadworthy.core.profile import Reference
from roadworthy.core.record import Record
from roadworthy.core.spec import Monitor
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.observe.alerts import DAY, Alert, Sink, alert_of, keep, open_alerts
from roadworthy.observe.base import Detector, detector
from roadworthy.observe.drift.budget import alpha_a_look
from roadworthy.store.state import State

# A shadow answers nobody, and its requests are in the log already under the arm that did.
ANSWERING: tuple[Arm, ...] = ("stable", "canary", "fallback", "holdback")


class Look(Struct, frozen=True):
    """What one detector said of the `n` answered rows with `since` <= at < `until` (Unix seconds)."""

    detector: str
    since: float
    until: float
    n: int
    verdict: Verdict


def detectors_of(
    plans: Iterable[object], root: Path | None = None, monitor: Monitor | None = None
) -> dict[str, Detector]:
    """The detectors of a project file, by the name in their plan. Raises SpecError for one that is there twice.

    With a `monitor` they share its budget of false alarms; an `alpha` in a plan stands.
    """
    made: dict[str, Detector] = {}
    shared = {} if monitor is None else {"alpha": alpha_a_look(monitor)}
    for plan in plans:
        name, _ = read_plan(plan)
        if name in made:
            raise SpecError(f"detector {name!r} is listed twice; its alerts could not be told apart: leave one out")
        made[name] = detector.make(plan, root, **shared)
    return made


def look(
    detectors: Mapping[str, Detector], reference: Window, records: Sequence[Record], since: float, until: float
) -> list[Look]:
    """Every detector's verdict on the rows of a window, with the labels that were known at its end."""
    known = Reference.of(reference)
    rows = [_as_known(record, until) for record in records if since <= record.at < until]
    current = Window.of(rows)
    return [Look(name, since, until, current.n, each(known, current)) for name, each in detectors.items()]


def sweep(
    detectors: Mapping[str, Detector], reference: Window, records: Sequence[Record], monitor: Monitor, start: float
) -> Iterator[Look]:
    """The looks that a monitor would have taken at records (in time order), from `start` on."""
    if not records:
        return
    known, until = Reference.of(reference), start + monitor.window_days * DAY
    while until <= records[-1].at + monitor.every_days * DAY:
        yield from look(detectors, known, records, until - monitor.window_days * DAY, until)
        until += monitor.every_days * DAY


def watch(
    state: State,
    deployment: str,
    detectors: Mapping[str, Detector],
    reference: Window,
    now: float,
    window_days: float = 7.0,
    release: str | None = None,
    sinks: Iterable[Sink] = (),
    quiet_days: float = 30.0,
) -> list[Alert]:
    """Look at the last `window_days` once, keep the alerts that follow and tell them; the alerts are returned.

    `release` narrows the rows to one release. An alarm that goes on is told again after `quiet_days`.
    """
    looks = look_at(state, detectors, reference, now, window_days, release)
    return tell(state, deployment, looks, sinks, release, quiet_days)


def look_at(
    state: State,
    detectors: Mapping[str, Detector],
    reference: Window,
    now: float,
    window_days: float = 7.0,
    release: str | None = None,
) -> list[Look]:
    """Every detector's verdict on the answers of the last `window_days`."""
    since = now - window_days * DAY
    return look(detectors, reference, state.records.read(since, now, release, ANSWERING), since, now)


def tell(
    state: State,
    deployment: str,
    looks: Iterable[Look],
    sinks: Iterable[Sink] = (),
    release: str | None = None,
    quiet_days: float = 30.0,
) -> list[Alert]:
    """Keep the alerts that follow from looks, given those that are open, and tell them."""
    before = open_alerts(state.engine, deployment)
    alerts = []
    for seen in looks:
        first = _first(seen, deployment, release or "")
        alert = alert_of(seen.verdict, first, before.get(seen.detector), quiet_days)
        alerts += [alert] if alert else []
    keep(state.engine, alerts, sinks)
    return alerts


def _first(seen: Look, deployment: str, release: str) -> Alert:
    verdict, at = seen.verdict, seen.until
    return Alert(
        deployment, seen.detector, "raised", at, verdict.because, seen.since, at, at, at, release, verdict.evidence
    )


def _as_known(record: Record, now: float) -> Record:
    unknown_yet = record.label_at is not None and record.label_at > now
    return replace(record, label=None, label_at=None) if unknown_yet else record
