"""Make, list and revoke the API keys of a server: new, list, revoke."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.table import Table

from roadworthy.cli.opening import open_spec, open_state, project_option
from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import BadRequest

if TYPE_CHECKING:
    from roadworthy.app.keys import Key, KeyFile
    from roadworthy.store.state import State

EXAMPLE = "roadworthy key new dashboard --scope infer --days 90 --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """What to do, with which key."""
    project_option(parser)
    parser.add_argument("action", choices=["new", "list", "revoke"])
    parser.add_argument("name", nargs="?", default="", help="the key's name, which the records carry as `caller`")
    parser.add_argument(
        "--scope", action="append", default=None, help="infer, control or admin; may be given more than once (infer)"
    )
    parser.add_argument("--days", type=float, default=0.0, help="after which it opens nothing (0: it has no end)")


def run(args: argparse.Namespace) -> Outcome:
    """A running server sees the change within a second. The first key closes it to whoever has none."""
    from roadworthy.app.keys import KeyFile

    spec = open_spec(args, check_files=False)
    with open_state(spec) as state:
        file = KeyFile(state.directory)
        if args.action == "list":
            return _listed(file.read())
        if not args.name:
            raise BadRequest(f"which key? `roadworthy key {args.action} NAME`")
        return _new(state, file, args) if args.action == "new" else _revoke(state, file, args.name)


def _new(state: State, file: KeyFile, args: argparse.Namespace) -> Outcome:
    scopes = args.scope or ["infer"]
    text = file.new(args.name, scopes, args.days)
    state.note_deed(time.time(), "cli", "key_made", args.name, {"scopes": scopes, "days": args.days})
    shown = f"{text}\nThis is the only time that it is shown. Send it as `authorization: Bearer KEY`."
    return Outcome({"name": args.name, "key": text, "scopes": scopes}, shown)


def _revoke(state: State, file: KeyFile, name: str) -> Outcome:
    file.revoke(name)
    state.note_deed(time.time(), "cli", "key_revoked", name)
    return Outcome({"revoked": name}, f"revoked {name!r}: a running server refuses it within a second")


def _listed(keys: tuple[Key, ...]) -> Outcome:
    table = Table("name", "scopes", "state", "created", "expires", "last used", box=None, header_style="bold")
    now = time.time()
    for key in keys:
        times = (_day(key.created), _day(key.expires), _day(key.used))
        table.add_row(key.name, ", ".join(key.scopes), key.state(now), *times)
    body = [{"name": k.name, "scopes": k.scopes, "state": k.state(now), "used": k.used or None} for k in keys]
    return Outcome(body, table if keys else "no API keys: `roadworthy key new NAME` makes one")


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" if at else "never"
