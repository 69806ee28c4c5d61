"""The report after an incident, as Markdown: what happened, in numbers, with the questions that only people answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.rollout.control.incident import Incident

_TITLES = {
    "rolled_back": "was rolled back",
    "not_judged": "can no longer be judged",
    "reverted": "was taken out of production",
}


def post_incident_report(
    incident: Incident, difference: str = "", rows: Sequence[Record] = (), timezone: str = "UTC"
) -> str:
    """The report. `difference` says what differs between the releases, `rows` are records of `incident.rows`."""
    parts = [
        *_happened(incident, timezone),
        *_timeline(incident, timezone),
        *_numbers(incident),
        *_exposures(incident),
        *_rows(incident, rows, timezone),
        *_difference(incident, difference),
        *_questions(incident),
    ]
    return "\n".join(parts) + "\n"


def _happened(incident: Incident, zone: str) -> Iterator[str]:
    yield f"# {_cell(incident.deployment)}: release {incident.candidate[:12]} {_TITLES[incident.kind]}"
    yield ""
    where = f", in the stage {incident.stage} of rollout {incident.rollout}" if incident.rollout else ""
    who = f" by {_cell(incident.by)}" if incident.by else ""
    yield f"At {_time(incident.at, zone)}{who}{where}: {_cell(incident.because)}."
    yield ""
    told = incident.exposed
    if incident.kind == "not_judged":
        yield "Traffic stayed as it was."
    elif incident.exposures:
        share = f" ({told.failed / told.requests:.2%})" if told.requests else ""
        yield f"Until then it had answered {told.requests:,} requests of users, of which {told.failed:,} failed{share}."
        yield f"Release {incident.control[:12]} answers all of them again."
    else:
        yield f"Release {incident.control[:12]} answers all requests again."


def _timeline(incident: Incident, zone: str) -> Iterator[str]:
    yield from ("", "## Timeline", "", "| when | what | by | because |", "| --- | --- | --- | --- |")
    for moment in incident.timeline:
        what = moment.what.replace("_", " ")
        yield f"| {_time(moment.at, zone)} | {_cell(what)} | {_cell(moment.by)} | {_cell(moment.because)} |"


def _numbers(incident: Incident) -> Iterator[str]:
    if not incident.verdicts:
        return
    yield from ("", "## What each signal said", "", "| signal | verdict | in words |", "| --- | --- | --- |")
    for verdict in incident.verdicts:
        yield f"| {_cell(verdict.of)} | {verdict.decision} | {_cell(verdict.because)} |"
    measured = [(verdict.of, m) for verdict in incident.verdicts for m in verdict.evidence]
    if measured:
        yield from ("", "| signal | measured | value | bounds | rows | limit |")
        yield "| --- | --- | --- | --- | --- | --- |"
    for of, m in measured:
        name = f"{m.name} on {m.where}" if m.where else m.name
        unit = "" if m.unit == "1" else f" {m.unit}"
        bounds = f"{m.low:.4g} to {m.high:.4g}" if math.isfinite(m.low) and math.isfinite(m.high) else ""
        row = (of, name, f"{m.value:.4g}{unit}", bounds, f"{m.n:,}", _limit(m))
        yield f"| {' | '.join(_cell(text) for text in row)} |"


def _exposures(incident: Incident) -> Iterator[str]:
    if not incident.exposures:
        return
    yield from ("", "## Whom it answered", "", "| slice | requests | failed |", "| --- | --- | --- |")
    for exposure in incident.exposures:
        yield f"| {_cell(exposure.where) or 'all'} | {exposure.requests:,} | {exposure.failed:,} |"


def _rows(incident: Incident, rows: Sequence[Record], zone: str) -> Iterator[str]:
    if not incident.rows:
        return
    yield from ("", "## Rows to look at", "", "| id | when | why |", "| --- | --- | --- |")
    for row in incident.rows:
        yield f"| {_cell(row.id)} | {_time(row.at, zone)} | {_cell(row.why)} |"
    for record in rows:
        yield from ("", f"`{_cell(record.id)}` on the arm {record.arm}:", "")
        # Indented, so that no text of a caller ends the block.
        body = msgspec.json.format(msgspec.json.encode(record), indent=2).decode()
        yield from (f"    {line}" for line in body.splitlines())


def _difference(incident: Incident, difference: str) -> Iterator[str]:
    yield from ("", "## What was different", "")
    yield f"Candidate {incident.candidate} against {incident.control}:"
    yield ""
    lines = (difference or "no difference was handed in; `roadworthy diff` shows it").splitlines()
    yield from (f"    {line}" for line in lines)


def _questions(incident: Incident) -> Iterator[str]:
    yield from ("", "## Questions", "")
    if incident.kind == "not_judged":
        yield "- Who changed the code of a gate while a rollout was running, and was that meant for the next one?"
    if incident.rollout:
        yield f"- Why did nothing stop this release before the stage {incident.stage}? Which test would have?"
    failing = [verdict.of for verdict in incident.verdicts if verdict.decision == "fail"]
    for name in failing:
        yield f"- What in the release explains what `{_cell(name)}` saw, and on which requests?"
    if incident.exposed.requests:
        yield f"- Must anybody of the {incident.exposed.requests:,} who were answered be told, or answered again?"
    yield "- Does stable, or any other deployment, have the same fault?"
    yield "- What changes so that this kind of fault is found earlier, who does it, and until when?"


def _limit(m: Measurement) -> str:
    known = {"allowed": "at most", "fails_above": "fails above", "enough": "fails at"}
    said = [(words, m.conditions[name]) for name, words in known.items() if name in m.conditions]
    return ", ".join(f"{words} {value:.4g}" for words, value in said if isinstance(value, float | int))


def _time(at: float, zone: str) -> str:
    try:
        return datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S %Z")
    except (OverflowError, ValueError, OSError):
        return f"{at!r}"


def _cell(text: str) -> str:
    """Text of anybody's in one line of a table."""
    for sign, kept in (("\\", "\\\\"), ("|", "\\|"), ("`", "'"), ("<", "&lt;"), ("\r", " "), ("\n", " ")):
        text = text.replace(sign, kept)
    return text
