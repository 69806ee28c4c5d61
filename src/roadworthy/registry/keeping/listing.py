"""The list of releases: a page of them, the newest first, with the aliases that each has now.

The tables of the registry for the terminal are here too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import Connection, Select, func, select

from roadworthy.core.artifact import Release
from roadworthy.core.errors import SpecError
from roadworthy.registry.home import Home, place, reading
from roadworthy.registry.keeping.aliases import Standing, deployments_of, meant, names_of
from roadworthy.registry.keeping.garbage import Collected
from roadworthy.registry.keeping.manifests import read

if TYPE_CHECKING:
    from rich.table import Table


class Listed(Struct, frozen=True):
    """A release in the list; `aliases` are those that mean it now, as `deployment/alias`, `bytes` that of its files."""

    digest: str
    name: str
    made_at: float
    made_by: str
    parent: str
    bytes: int
    aliases: tuple[str, ...]
    approvals: int
    signatures: int
    holds: int


class Listing(Struct, frozen=True):
    """A page of releases, the newest first, of `total` that there are."""

    total: int
    releases: tuple[Listed, ...]


def listing(home: Home, limit: int = 50, skip: int = 0, name: str = "") -> Listing:
    """The newest `limit` releases after the first `skip`, of one `name` or of all."""
    if limit < 1 or skip < 0:
        raise SpecError(f"a page has at least one release and begins at 0 or later, got limit={limit!r}, skip={skip!r}")
    column = home.tables["releases"].c
    these = [column.name == name] if name else []
    with reading(home) as connection:
        total = connection.execute(select(func.count()).select_from(home.tables["releases"]).where(*these)).scalar_one()
        page = select(column.digest).where(*these).order_by(column.made_at.desc(), column.digest)
        digests = list(connection.execute(page.limit(limit).offset(skip)).scalars())
        found = _read(connection, home, digests)
        now, counts = _aliases(connection, home), _counts(connection, home, digests)
    return Listing(total, tuple(_listed(found[digest], now, counts) for digest in digests))


def listing_text(found: Listing) -> Table:
    """The page as a table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    # What a command takes is never cut; what a person reads may be.
    for column, least in {"release": 12, "name": 7, "made (UTC)": 16, "by": 10, "files": 8, "is now": 14}.items():
        table.add_column(column, no_wrap=True, min_width=least, max_width=20)
    table.add_column("")
    for one in found.releases:
        marks = [f"{one.approvals} approved"] * bool(one.approvals) + ["signed"] * bool(one.signatures)
        cells = (one.digest[:12], one.name, day(one.made_at), one.made_by, size(one.bytes), ", ".join(one.aliases))
        table.add_row(*map(Text, cells), Text(", ".join(marks + ["held"] * bool(one.holds))))
    if found.total > len(found.releases):
        table.caption = f"{len(found.releases)} of {found.total:,} releases"
    return table


def standing_text(found: Standing) -> Table:
    """What each alias of a deployment meant at a time, as a table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table("alias", "release", "since (UTC)", "by", "why", box=None, pad_edge=False, header_style="bold")
    table.title = f"{found.deployment} at {day(found.at)} UTC"
    for name, change in found.aliases.items():
        cells = (name, (change.digest or "")[:12], day(change.at), change.by, change.why)
        table.add_row(*map(Text, cells))
    return table


def collected_text(found: Collected) -> Table:
    """What a collection of garbage removed, or would remove, as a table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    did = "would free" if found.dry_run else "freed"
    table = Table("release", "name", "made (UTC)", box=None, pad_edge=False, header_style="bold")
    table.title = f"{len(found.releases):,} releases and {found.files:,} files: {did} {size(found.bytes)}"
    for one in found.releases:
        table.add_row(*map(Text, (one.digest[:12], one.name, day(one.made_at))))
    kept = ", ".join(f"{count:,} because {reason}" for reason, count in sorted(found.kept.items()))
    table.caption = f"kept: {kept or 'none'}"
    return table


def day(at: float) -> str:
    """A time as a person reads it, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def size(count: float) -> str:
    """A number of bytes as a person reads it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} GB"


def _listed(release: Release, now: Mapping[str, Iterable[str]], counts: Mapping[str, Mapping[str, int]]) -> Listed:
    digest = release.digest
    return Listed(
        digest,
        release.name,
        release.made_at,
        release.made_by,
        release.parent,
        sum(artifact.bytes for artifact in release.artifacts),
        tuple(now.get(digest, ())),
        *(counts[table].get(digest, 0) for table in ("approvals", "signatures", "release_holds")),
    )


def _read(connection: Connection, home: Home, digests: Iterable[str]) -> dict[str, Release]:
    column, where = home.tables["releases"].c, place(home)
    rows = connection.execute(select(column.digest, column.manifest).where(column.digest.in_(digests)))
    return {row.digest: read(row.digest, row.manifest, where) for row in rows}


def _aliases(connection: Connection, home: Home) -> dict[str, list[str]]:
    """The aliases that mean each release now."""
    table, found = home.tables["aliases"], defaultdict[str, list[str]](list)
    for deployment in deployments_of(connection, table):
        for name in names_of(connection, table, deployment):
            change = meant(connection, table, deployment, name, None)
            if change is not None and change.digest is not None:
                found[change.digest].append(f"{deployment}/{name}")
    return found


def _counts(connection: Connection, home: Home, digests: Iterable[str]) -> dict[str, dict[str, int]]:
    """How many approvals, signatures and standing holds each release has."""
    held = home.tables["release_holds"]

    def counted(name: str) -> Select[Any]:
        column = home.tables[name].c.digest
        return select(column, func.count().label("n")).where(column.in_(digests)).group_by(column)

    chosen = {
        "approvals": counted("approvals"),
        "signatures": counted("signatures"),
        "release_holds": counted("release_holds").where(held.c.lifted_at.is_(None)),
    }
    return {name: {row.digest: row.n for row in connection.execute(query)} for name, query in chosen.items()}
