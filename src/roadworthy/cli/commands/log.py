"""The record log: what is in it, whether it is whole; seal, hold, remove, query and ship records."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from rich.table import Table

from roadworthy.cli.opening import existing_state, open_spec, project_option
from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import BadRequest

if TYPE_CHECKING:
    from roadworthy.core.spec import Spec
    from roadworthy.store.state import State

EXAMPLE = "roadworthy log sql 'SELECT release, count(*) FROM records GROUP BY release' --project examples/flights"
ACTIONS = ("show", "tail", "verify", "seal", "retain", "hold", "lift", "sql", "ship", "drain")


def options(parser: argparse.ArgumentParser) -> None:
    """What to do."""
    project_option(parser)
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="show")
    parser.add_argument("what", nargs="?", default="", help="of `sql` the query, of `lift` the number of the hold")
    parser.add_argument("--rows", type=int, default=20, help="how many rows are shown at most (20)")
    parser.add_argument("--from", dest="begin", default="", metavar="TIME", help="of `hold`: from when")
    parser.add_argument("--to", dest="end", default="", metavar="TIME", help="of `hold`: until when (now)")
    parser.add_argument("--by", default="cli", help="who holds or lifts")
    parser.add_argument("--why", default="", help="the reason, which a hold needs")
    parser.add_argument("--into", default="", metavar="URI", help="of `drain`: the Delta tables, a folder or s3://...")


def run(args: argparse.Namespace) -> Outcome:
    """Exit code 1 when `verify` finds damage. `sql` sees one table, `records`, hot and sealed rows alike."""
    spec = open_spec(args, check_files=False)
    doing = {
        "show": _show,
        "tail": _tail,
        "verify": _verify,
        "seal": _seal,
        "retain": _retain,
        "hold": _hold,
        "lift": _lift,
        "sql": _sql,
        "ship": _ship,
        "drain": _drain,
    }
    with existing_state(spec) as state:
        return doing[args.action](spec, state, args)


def _show(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    from roadworthy.app.watched_parts import log_parts
    from roadworthy.store.retention import holds

    held, gaps, aside = holds(state.engine), state.records.gaps(), state.records.aside()
    counts = [
        {"release": release, "arm": arm, "records": n} for (release, arm), n in sorted(state.records.counts().items())
    ]
    table = Table("release", "arm", "records", box=None, header_style="bold")
    for row in counts:
        table.add_row(str(row["release"])[:12], str(row["arm"]), f"{row['records']:,}")
    parts = log_parts(state.records)
    for part in parts:
        table.add_row(part.name, str(part.where or part.conditions.get("of", "")), f"{part.value:,.0f}")
    for hold in held:
        table.add_row(f"hold {hold.seq}", hold.by, hold.why)
    body = {"counts": counts, "parts": parts, "holds": held, "gaps": gaps, "aside": len(aside)}
    return Outcome(body, table)


def _tail(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    from roadworthy.cli.spans import last_rows

    records = last_rows(state.records, args.rows)
    table = Table("id", "at", "arm", "release", "outputs", "ms", "error", box=None, header_style="bold")
    for r in records:
        ms = f"{1000 * r.seconds['total']:.2f}" if "total" in r.seconds else ""
        table.add_row(r.id, f"{r.at:.0f}", r.arm, r.release[:8], str(dict(r.outputs))[:60], ms, (r.error or "")[:60])
    return Outcome(records, table if records else "no records yet")


def _verify(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    found = state.records.verify(time.time())
    lines = [f"{found.segments} sealed files, {found.rows:,} records; {len(found.damaged)} damaged", *found.damaged]
    lines += [f"healed: {file}" for file in found.healed] + [f"not ours: {file}" for file in found.strays]
    return Outcome(found, "\n".join(lines), 1 if found.damaged else 0)


def _seal(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    from roadworthy.cli.spans import clock_of
    from roadworthy.store.sealing import seal

    done = seal(state.records, spec.log, clock_of(state), at_once=True)
    told = f"{done.rows:,} records sealed into {len(done.files)} files of {done.bytes:,} bytes"
    return Outcome(
        done, told + (f"; {done.doubles} doubles put aside" if done.doubles else "") if done.rows else done.why
    )


def _retain(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    from roadworthy.cli.spans import clock_of
    from roadworthy.store.retention import retain

    if not spec.log.keep_days:
        raise BadRequest("`log: keep_days` is 0, which keeps records for ever: set it in roadworthy.yaml")
    done = retain(state.records, state.engine, spec.log, clock_of(state))
    told = f"{done.rows:,} records and {done.labels:,} labels removed; {len(done.held)} files are held"
    return Outcome(done, told)


def _hold(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    from roadworthy.cli.spans import clock_of
    from roadworthy.observe.root_cause.time_span import span
    from roadworthy.store.retention import hold

    if not args.begin or not args.why:
        raise BadRequest("a hold needs `--from` and `--why`: whoever finds it years later must know")
    when = span(args.begin, args.end, clock_of(state))
    made = hold(state.engine, when.since, when.until, args.by, args.why, time.time())
    told = {"hold": made.seq, "since": made.since, "until": made.until, "why": made.why}
    state.note_deed(made.at, args.by, "records_held", spec.application.name, told)
    return Outcome(
        made, f"hold {made.seq}: no retention removes these records; `roadworthy log lift {made.seq}` ends it"
    )


def _lift(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    from roadworthy.store.retention import lift

    if not args.what.isdigit():
        raise BadRequest(f"a hold is lifted by its number, got {args.what!r}: `roadworthy log` lists them")
    lifted = lift(state.engine, int(args.what), time.time())
    state.note_deed(time.time(), args.by, "records_hold_lifted", spec.application.name, {"hold": int(args.what)})
    return Outcome(lifted, f"hold {args.what} is lifted")


def _sql(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    import polars

    if not args.what:
        raise BadRequest("which query? `roadworthy log sql 'SELECT ... FROM records'`")
    try:
        found = polars.SQLContext(records=state.records.scan()).execute(args.what).collect()
    except polars.exceptions.PolarsError as wrong:
        columns = ", ".join(state.records.scan().collect_schema().names())
        raise BadRequest(f"{args.what!r}: {wrong} (the table `records` has: {columns})") from wrong
    table = Table(*found.columns, box=None, header_style="bold")
    for row in found.head(args.rows).iter_rows():
        table.add_row(*(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row))
    return Outcome(found.to_dicts(), table)


def _ship(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    from roadworthy.store.base import shipment
    from roadworthy.store.shipping import shipping_of

    if not spec.log.ship:
        raise BadRequest("the project names nowhere to ship to: write `ship:` below `log:` in roadworthy.yaml")
    with shipping_of(shipment.make(spec.log.ship, spec.root), state) as shipping:
        shipped = shipping.catch_up(time.time)
        lag = shipping.lag(time.time)
    return Outcome({"shipped": shipped, "lag": lag}, str(shipped))


def _drain(spec: Spec, state: State, args: argparse.Namespace) -> Outcome:
    """Take what is in the topic into Delta tables until nothing is left."""
    from roadworthy.store.base import shipment
    from roadworthy.store.delta_log import DeltaLog
    from roadworthy.store.kafka_feed import Drain, Feed

    plan: Any = shipment.make(spec.log.ship, spec.root) if spec.log.ship else None
    if not args.into or not hasattr(plan, "topic"):
        raise BadRequest("`drain` needs `--into URI`, and `log: ship: kafka` in roadworthy.yaml to say from where")
    drain = Drain(Feed(plan.servers, plan.topic, plan.options), DeltaLog(args.into))
    try:
        drained = drain.step()
    finally:
        drain.close()
    return Outcome(drained, str(drained))
