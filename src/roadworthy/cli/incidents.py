"""What becomes of an incident: somebody is told through the project's sinks, and the report of it is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from roadworthy.cli.flows import write_whole
from roadworthy.core.errors import Missing
from roadworthy.core.spec import Spec
from roadworthy.observe.alert import Alert
from roadworthy.observe.alerting.delivery import deliver, write_with_dues
from roadworthy.observe.alerting.minutes import sinks_of
from roadworthy.registry.keeping.diff import diff, diff_text
from roadworthy.registry.releases import Registry
from roadworthy.rollout.control.incident import Incident
from roadworthy.rollout.control.post_incident import post_incident_report
from roadworthy.store.state import State


def telling(spec: Spec, state: State, registry: Registry) -> Callable[[Incident], None]:
    """What a controller calls with each incident: the report first, so that the alert can name it."""
    sinks = sinks_of(spec.monitor, spec.root)

    def tell(incident: Incident) -> None:
        report = write_report(spec, state, registry, incident)
        write_with_dues(state.engine, alert_of(incident, report), sinks)
        deliver(state.engine, sinks, time.time(), since=incident.at)

    return tell


def alert_of(incident: Incident, report: Path) -> Alert:
    """The incident as an alert: a page where users were answered wrongly or stable was taken back, else a ticket."""
    users = incident.exposed.requests or incident.kind == "reverted"
    at, began = incident.at, min((moment.at for moment in incident.timeline), default=incident.at)
    failed = [v for v in incident.verdicts if v.decision == "fail"]
    because = f"release {incident.candidate[:12]}: {incident.because} (report: {report})"
    return Alert(
        incident.deployment,
        "rollout",
        "raised",
        at,
        because,
        since=began,
        until=at,
        first_at=at,
        told_at=at,
        release=incident.candidate,
        evidence=tuple(m for v in failed for m in v.evidence),
        severity="page" if users else "ticket",
    )


def write_report(spec: Spec, state: State, registry: Registry, incident: Incident) -> Path:
    """Write the post-incident report beside the records; returns its file."""
    folder = state.directory / "incidents"
    folder.mkdir(exist_ok=True)
    file = folder / f"{incident.id}.md"
    write_whole(file, report_of(spec, state, registry, incident).encode())
    return file


def report_of(spec: Spec, state: State, registry: Registry, incident: Incident) -> str:
    """The post-incident report, with what differs between the releases and the rows that it names."""
    rows = state.records.read(ids=[row.id for row in incident.rows]) if incident.rows else []
    mine = [row for row in rows if row.release == incident.candidate]
    return post_incident_report(incident, _difference(registry, incident), mine, spec.rollout.timezone)


def _difference(registry: Registry, incident: Incident) -> str:
    try:
        found = diff(registry.get(incident.control), registry.get(incident.candidate))
    except Missing:
        return ""
    console = Console(width=110, no_color=True)
    with console.capture() as shown:
        console.print(diff_text(found))
    return shown.get()
