"""Aliases: which release each name of a deployment meant, at any time. History is only ever added to."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Table, insert, select

from roadworthy.core.errors import SpecError, Taken

# Clocks step back a little when they are set; a change of that kind is dated with the one ahead of it.
CLOCK_STEP_SECONDS = 60.0


class AliasChange(Struct, frozen=True):
    """From `at` (Unix seconds) on, `alias` of `deployment` meant the release `digest` (None: nothing any more)."""

    seq: int
    deployment: str
    alias: str
    digest: str | None
    at: float
    by: str
    why: str


class Standing(Struct, frozen=True):
    """What each alias of a deployment meant at a time, with who had moved it there and why."""

    deployment: str
    at: float
    aliases: Mapping[str, AliasChange]


def meant(connection: Connection, table: Table, deployment: str, alias: str, at: float | None) -> AliasChange | None:
    """The change that held at `at`, or holds now. Of several with one time the one that was written last."""
    column = table.c
    chosen = select(table).where(column.deployment == deployment, column.alias == alias)
    if at is None:
        chosen = chosen.order_by(column.seq.desc())
    else:
        # No later change has an earlier time, so that the index on times leads straight to it, however long ago.
        chosen = chosen.where(column.at <= at).order_by(column.at.desc(), column.seq.desc())
    row = connection.execute(chosen.limit(1)).first()
    return None if row is None else AliasChange(**row._mapping)


def standing(connection: Connection, table: Table, deployment: str, at: float) -> Standing:
    """Every alias at that time, those that meant nothing then left out."""
    found = {name: meant(connection, table, deployment, name, at) for name in names_of(connection, table, deployment)}
    told = {name: change for name, change in found.items() if change is not None and change.digest is not None}
    return Standing(deployment, at, told)


def names_of(connection: Connection, table: Table, deployment: str) -> list[str]:
    """The aliases that the deployment ever had."""
    return _steps(connection, table, "alias", table.c.deployment == deployment)


def deployments_of(connection: Connection, table: Table) -> list[str]:
    """The deployments that ever had an alias."""
    return _steps(connection, table, "deployment")


def dated(connection: Connection, table: Table, deployment: str, alias: str, at: float) -> float:
    """The time that a change made now gets. Raises Taken where a later one is written already."""
    if not math.isfinite(at):
        raise SpecError(f"`at` must be Unix seconds, got {at!r}")
    last = meant(connection, table, deployment, alias, None)
    if last is None or at >= last.at:
        return at
    if last.at - at <= CLOCK_STEP_SECONDS:
        return last.at
    raise Taken(
        f"{alias!r} of {deployment!r} was changed at {last.at!r}, after `at`={at!r}: history is only added to;"
        " use one clock for a state directory, or another directory"
    )


def write(
    connection: Connection, table: Table, deployment: str, alias: str, digest: str | None, at: float, by: str, why: str
) -> AliasChange:
    """Add a change to the history, its time being `dated`."""
    values = {"deployment": deployment, "alias": alias, "digest": digest, "at": at, "by": by, "why": why}
    seq = connection.execute(insert(table).values(values).returning(table.c.seq)).scalar_one()
    return AliasChange(seq, deployment, alias, digest, at, by, why)


def _steps(connection: Connection, table: Table, name: str, *where: ColumnElement[bool]) -> list[str]:
    """The distinct values of a column, one look into the index each: a history of years is not read for a few names."""
    column, found = table.c[name], list[str]()
    while True:
        after = [column > found[-1]] if found else []
        following = select(column).where(*where, *after).order_by(column).limit(1)
        value = connection.execute(following).scalar()
        if value is None:
            return found
        found.append(value)
