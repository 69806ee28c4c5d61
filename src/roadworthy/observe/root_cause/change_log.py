"""The change log: deploys, rollouts, settings, loads, retrainings, alarms and jobs, in one list, read and written here.

Deploys are the moves of aliases and rollouts write their own events; the `note_` functions write what else there is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Engine, select

from roadworthy.store.events import Event, read_events, write_event
from roadworthy.store.state import State

# Events that say that somebody was told of something change nothing that is served.
_SILENT = frozenset(
    {"alert_undelivered", "key_made", "audit", "incident", "incident_told", "records_held", "records_hold_lifted"}
)
DIGITS = 12


class Change(Struct, frozen=True, omit_defaults=True):
    """Something that changed at `at` (Unix seconds). `release` is the digest of the release that it is about."""

    at: float
    kind: str
    text: str
    release: str = ""


class RankedChange(Struct, frozen=True):
    """A change with how well it fits an incident: 1 is at its onset and about its slice.

    `seconds` counts from the onset; `matches`: it is about a release that the slices speak of.
    """

    change: Change
    seconds: float
    score: float
    matches: bool


def changes(state: State, deployment: str, since: float, until: float) -> list[Change]:
    """Everything that changed for a deployment with `since` <= at < `until`, in the order of time."""
    told = [_of_event(e, deployment) for e in read_events(state.engine, since=since, until=until)]
    found = [*_alias_moves(state, deployment, since, until), *(change for change in told if change is not None)]
    return sorted(found, key=lambda change: change.at)


def ranked(found: Iterable[Change], onset: float, length: float, releases: Sequence[str] = ()) -> list[RankedChange]:
    """The changes by how close they are to the onset and whether they are about one of `releases` (digests, or ends).

    `length` is that of the window. What came well after the onset did not bring it.
    """
    patience = max(60.0, 0.15 * length)
    ranks = []
    for change in found:
        away = change.at - onset
        close = math.exp(-abs(away) / patience) * (0.3 if away > 0.1 * patience else 1.0)
        matches = any(change.release and change.release.startswith(name) for name in releases if name)
        ranks.append(RankedChange(change, away, min(1.0, close * (1.0 if matches else 0.7)), matches))
    return sorted(ranks, key=lambda each: (-each.matches, -each.score))


def note_start(engine: Engine, at: float, deployment: str, **about: Any) -> Event:
    """A server began to serve the deployment (`about`: host, port, version)."""
    return write_event(engine, at, "server_started", deployment, about)


def note_stop(engine: Engine, at: float, deployment: str, **about: Any) -> Event:
    """A server stopped serving it."""
    return write_event(engine, at, "server_stopped", deployment, about)


def note_load(engine: Engine, at: float, deployment: str, release: str, seconds: float) -> Event:
    """The model of a release was loaded, which took so long; its cache is empty."""
    return write_event(engine, at, "loaded", deployment, {"release": release, "seconds": seconds})


def note_failed_load(engine: Engine, at: float, deployment: str, arm: str, release: str, error: str) -> Event:
    """A release could not be loaded for the arm that it was wanted for."""
    return write_event(engine, at, "load_failed", deployment, {"arm": arm, "release": release, "error": error})


def note_unload(engine: Engine, at: float, deployment: str, release: str, why: str = "") -> Event:
    """The model of a release was let go."""
    return write_event(engine, at, "unloaded", deployment, {"release": release, "why": why})


def note_settings(engine: Engine, at: float, deployment: str, settings: Any) -> Event | None:
    """The settings that hold from now on (the Spec, or a mapping); an event where they differ from those before.

    The event names what differs, and holds the settings for the next comparison.
    """
    now = _flat(msgspec.to_builtins(settings, str_keys=True, enc_hook=str))
    known = read_events(engine, kind="settings", subject=deployment)
    before = dict(known[-1].data["settings"]) if known else {}
    if known and before == now:
        return None
    changed = {
        name: [before.get(name), now.get(name)] for name in sorted({*before, *now}) if _differ(before, now, name)
    }
    return write_event(engine, at, "settings", deployment, {"changed": changed if known else {}, "settings": now})


def note_retrain(engine: Engine, at: float, deployment: str, release: str, because: str) -> Event:
    """A candidate was trained."""
    return write_event(engine, at, "retrained", deployment, {"release": release, "because": because})


def note_labels(engine: Engine, at: float, deployment: str, joined: int) -> Event:
    """A job brought labels."""
    return write_event(engine, at, "labels", deployment, {"joined": joined})


def note_host(engine: Engine, at: float, deployment: str, what: str) -> Event:
    """Something happened to the machine, in words: a disk that is full, a neighbour that moved in, a reboot."""
    return write_event(engine, at, "host", deployment, {"what": what})


def _differ(before: Mapping[str, Any], now: Mapping[str, Any], name: str) -> bool:
    return bool(before.get(name) != now.get(name))


def _flat(tree: Any, at: str = "") -> dict[str, Any]:
    """Leaves by their dotted names; a list is a leaf."""
    if not isinstance(tree, dict):
        return {at: tree}
    return {k: v for name, part in tree.items() for k, v in _flat(part, f"{at}.{name}" if at else str(name)).items()}


def _alias_moves(state: State, deployment: str, since: float, until: float) -> list[Change]:
    table = state.tables["aliases"]
    chosen = select(table).where(table.c.deployment == deployment, table.c.at >= since, table.c.at < until)
    with state.engine.execution_options(reading=True).connect() as connection:
        rows = connection.execute(chosen.order_by(table.c.seq)).all()
    return [
        Change(row.at, "deploy", f"{row.alias} became {_short(row.digest)} ({row.by}: {row.why})", row.digest or "")
        for row in rows
    ]


def _of_event(event: Event, deployment: str) -> Change | None:
    """The change that an event tells of; None where it is of another deployment, or changes nothing."""
    if event.subject.split("/")[0] != deployment and event.kind != "key_revoked":
        return None
    if event.kind in _SILENT:
        return None
    text, release = _told(event)
    return Change(event.at, event.kind, text, release) if text else None


def _told(event: Event) -> tuple[str, str]:
    data = event.data
    release = str(data.get("release", ""))
    match event.kind:
        case "rollout":
            return _rollout(data)
        case "alert":
            return f"{data.get('detector', '')} {data.get('status', '')}: {data.get('because', '')}", release
        case "load_failed":
            return f"{_short(release)} could not be loaded: {data.get('error', '')}", release
        case "loaded":
            return f"{_short(release)} was loaded in {float(data['seconds']):.1f} s, its cache empty", release
        case "unloaded":
            return f"{_short(release)} was let go {data.get('why', '')}".strip(), release
        case "retrained":
            return f"{_short(release)} was trained: {data.get('because', '')}", release
        case "settings":
            return _settings(data["changed"]), ""
        case "labels":
            return f"{int(data['joined']):,} labels were joined", ""
        case "host":
            return str(data["what"]), ""
    told = ", ".join(f"{name} {value}" for name, value in data.items() if isinstance(value, str | int | float))
    return f"{event.kind.replace('_', ' ')}{': ' + told if told else ''}", release


def _rollout(data: Mapping[str, Any]) -> tuple[str, str]:
    rollout = data.get("rollout", {})
    release, stage = str(rollout.get("candidate", "")), int(rollout.get("stage", 0))
    stages = rollout.get("plan", {}).get("stages") or [{}]
    step = stages[min(stage, len(stages) - 1)]
    share = f" {step['share']:.0%}" if step.get("share") else ""
    now = f", now {step.get('mode', 'in stage')}{share}" if data.get("change") in ("started", "stage") else ""
    return f"rollout of {_short(release)}: {data.get('change', '')}{now} ({rollout.get('because', '')})", release


def _settings(changed: Mapping[str, Sequence[Any]]) -> str:
    told = [f"{name} from {was!r} to {now!r}" for name, (was, now) in list(changed.items())[:5]]
    more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
    return f"settings: {', '.join(told)}{more}" if told else ""


def _short(digest: str | None) -> str:
    return digest[:DIGITS] if digest else "nothing"
