"""The audit log: who did what, each entry chained to the one before; list it, check it, export it."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from roadworthy.cli.opening import existing_state, open_spec, project_option, state_option
from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import BadRequest

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from roadworthy.store.audit_log import AuditReport, Entry

# The reason of a promotion is as long as what every gate said; `--json` and an export have all of it.
MOST_LETTERS = 90
EXAMPLE = "roadworthy audit verify --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """What to do, and which entries."""
    project_option(parser)
    state_option(parser)
    parser.add_argument("action", nargs="?", choices=["list", "verify", "export"], default="list")
    parser.add_argument("file", nargs="?", type=Path, help="where to export to, or an exported file to verify")
    parser.add_argument("--head", default="", help="the hash of the last entry, as it was noted elsewhere (verify)")
    parser.add_argument("--entries", type=int, default=0, help="how many entries there were then (verify)")
    parser.add_argument("--by", default="", help="only what this person did (list)")
    parser.add_argument("--most", type=int, default=40, help="how many of the newest are listed (40)")


def run(args: argparse.Namespace) -> Outcome:
    """Exit code 1 when an entry was changed, taken out or put in."""
    from roadworthy.store.audit_log import verify_audit, verify_export

    if args.action == "verify" and args.file is not None:
        with args.file.open("rb") as lines:
            return _verdict(verify_export(lines))
    with existing_state(open_spec(args, check_files=False), args.state) as state:
        if args.action == "verify":
            return _verdict(verify_audit(state.engine, args.head, args.entries))
        if args.action == "export":
            return _export(state.engine, args.file)
        return _list(state.engine, args.by, args.most)


def _verdict(found: AuditReport) -> Outcome:
    said = found.fault or f"{found.entries} entries, each as it was written; the last has the hash {found.head}"
    return Outcome({**msgspec.to_builtins(found), "intact": found.intact}, said, 0 if found.intact else 1)


def _export(engine: Engine, file: Path | None) -> Outcome:
    from roadworthy.cli.flows import write_whole
    from roadworthy.store.audit_log import read_audit

    if file is None:
        raise BadRequest("where to? `roadworthy audit export audit.jsonl`")
    lines = [msgspec.json.encode(entry) for entry in read_audit(engine)]
    write_whole(file, b"".join(line + b"\n" for line in lines))
    return Outcome({"file": str(file), "entries": len(lines)}, f"{len(lines)} entries in {file}")


def _list(engine: Engine, by: str, most: int) -> Outcome:
    from roadworthy.store.audit_log import read_audit

    newest = list(read_audit(engine, by=by))[-most:]
    return Outcome(newest, "\n".join(_line(entry) for entry in newest) or "nothing was done yet")


def _line(entry: Entry) -> str:
    at = datetime.fromtimestamp(entry.at, UTC)
    why = str(entry.data.get("why") or entry.data.get("because") or "")
    why = why if len(why) <= MOST_LETTERS else f"{why[:MOST_LETTERS]}..."
    return f"{at:%Y-%m-%d %H:%M:%S}  {entry.by}: {entry.action} {entry.subject[:24]}  {why}  {entry.hash[:12]}"
