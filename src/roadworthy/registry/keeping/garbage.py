"""Collecting garbage: releases and files that nothing refers to any more go, whatever history needs stays."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct
from sqlalchemy import Connection, delete, select

from roadworthy.core.artifact import Release
from roadworthy.core.errors import SpecError
from roadworthy.registry.home import File, Home, place, reading, writing
from roadworthy.registry.keeping.holds import holds
from roadworthy.registry.keeping.manifests import brief, read

HOUR = 3600.0

# Removed while others wait to write: a few milliseconds at a time.
AT_ONCE = 200

# What speaks of a release besides its manifest: it goes with it, in this order.
BELONGINGS = {"signatures": "digest", "approvals": "digest", "release_holds": "digest", "profiles": "release"}


class Removed(Struct, frozen=True):
    """A release that nothing referred to."""

    digest: str
    name: str
    made_at: float


class Collected(Struct, frozen=True, omit_defaults=True):
    """What a collection removed, or in a `dry_run` would: releases, `files` that no other one has, and their `bytes`.

    `kept` counts the releases that stay by the reason why.
    """

    releases: tuple[Removed, ...]
    files: int
    bytes: int
    kept: Mapping[str, int]
    dry_run: bool = False


class _Plan(Struct, frozen=True):
    """What is to go."""

    releases: tuple[Removed, ...]
    files: tuple[str, ...]
    bytes: int
    kept: Mapping[str, int]


def collect(
    home: Home, kept: Collection[str], at: float, by: str, why: str, least_age_hours: float = 24.0, dry_run: bool = True
) -> Collected:
    """Remove the releases that nothing refers to, and the files that no release has.

    `kept` are digests that somebody else refers to, as the records in a log. A release stays that an alias ever meant,
    that a rollout names, that a hold covers, that is younger than `least_age_hours` or from which one that stays was
    made. The rows go first, in one transaction with the audit entry; what a kill leaves of the files goes next time.
    """
    if least_age_hours < 0:
        raise SpecError(f"`least_age_hours` must be 0 or more, got {least_age_hours!r}")
    before = at - least_age_hours * HOUR
    if dry_run:
        with reading(home) as connection:
            plan = _plan(connection, home, frozenset(kept), before)
        return _told(plan, plan.bytes, dry_run=True)
    with writing(home) as connection:
        plan = _plan(connection, home, frozenset(kept), before)
        if plan.releases or plan.files:
            _forget(connection, home, [release.digest for release in plan.releases])
            told = {"releases": [r.digest for r in plan.releases], "files": list(plan.files), "bytes": plan.bytes}
            home.audited(connection, at, by, "garbage collected", "registry", {**told, "why": why})
    _remove_files(home, plan.files)
    return _told(plan, plan.bytes + home.blobs.sweep(before), dry_run=False)


def _told(plan: _Plan, freed: int, dry_run: bool) -> Collected:
    return Collected(plan.releases, len(plan.files), freed, plan.kept, dry_run)


def _plan(connection: Connection, home: Home, kept: frozenset[str], before: float) -> _Plan:
    releases, files = _releases(connection, home), {file.digest: file for file in home.blobs.all()}
    reasons = _reasons(connection, home, releases, files, kept, before)
    gone = [release for digest, release in releases.items() if digest not in reasons]
    needed = {a.digest for digest in reasons for a in releases[digest].artifacts}
    orphans = [file for file in files.values() if file.digest not in needed and file.at < before]
    return _Plan(
        tuple(Removed(release.digest, release.name, release.made_at) for release in gone),
        tuple(sorted(file.digest for file in orphans)),
        sum(file.bytes for file in orphans),
        dict(Counter(reasons.values())),
    )


def _releases(connection: Connection, home: Home) -> dict[str, Release]:
    """Every release, the oldest first, each checked: a damaged manifest would make its files look unneeded."""
    column, where = home.tables["releases"].c, place(home)
    chosen = select(column.digest, column.manifest).order_by(column.made_at, column.digest)
    return {row.digest: read(row.digest, row.manifest, where) for row in connection.execute(chosen)}


def _reasons(
    connection: Connection,
    home: Home,
    releases: Mapping[str, Release],
    files: Mapping[str, File],
    kept: frozenset[str],
    before: float,
) -> dict[str, str]:
    """Why each release that stays does; the first reason that holds is given."""
    named = (
        ("an alias meant it", _aliased(connection, home)),
        ("a rollout tried it", _rolled_out(connection, home)),
        ("a hold covers it", {hold.digest for hold in holds(connection, home.tables["release_holds"])}),
        ("records name it", kept),
        ("it is young", {digest for digest, r in releases.items() if _last_touched(r, files) >= before}),
    )
    reasons: dict[str, str] = {}
    for reason, digests in named:
        for digest in digests & releases.keys():
            reasons.setdefault(digest, reason)
    for digest in tuple(reasons):
        for parent in _ancestors(releases, digest):
            reasons.setdefault(parent, "another one was made from it")
    return reasons


def _ancestors(releases: Mapping[str, Release], digest: str) -> Iterator[str]:
    while (digest := releases[digest].parent) in releases:
        yield digest


def _last_touched(release: Release, files: Mapping[str, File]) -> float:
    """When it was made or, by its files, added: a replay gives releases the times of the past."""
    return max((release.made_at, *(files[a.digest].at for a in release.artifacts if a.digest in files)))


def _aliased(connection: Connection, home: Home) -> set[str]:
    column = home.tables["aliases"].c
    return set(connection.execute(select(column.digest).where(column.digest.is_not(None)).distinct()).scalars())


def _rolled_out(connection: Connection, home: Home) -> set[str]:
    """Whatever looks like a digest in what is known of any rollout, in whichever of its fields."""
    states = connection.execute(select(home.tables["rollouts"].c.state)).scalars()
    return {digest for state in states for digest in re.findall(r"\b[0-9a-f]{64}\b", state)}


def _forget(connection: Connection, home: Home, digests: Sequence[str]) -> None:
    tables = home.tables
    for some in _pieces(digests):
        for name, column in BELONGINGS.items():
            connection.execute(delete(tables[name]).where(tables[name].c[column].in_(some)))
        connection.execute(delete(tables["releases"]).where(tables["releases"].c.digest.in_(some)))


def _remove_files(home: Home, digests: Sequence[str]) -> None:
    """Remove files a few at a time, each time only those that no release has taken up meanwhile.

    Whoever adds a release looks after its files in its own transaction, so that none goes while it is being added.
    """
    for some in _pieces(digests):
        with writing(home) as connection:
            needed = _needed(connection, home)
            for digest in some:
                if digest not in needed:
                    home.blobs.remove(digest)


def _needed(connection: Connection, home: Home) -> set[str]:
    column, where = home.tables["releases"].c, place(home)
    rows = connection.execute(select(column.digest, column.manifest))
    return {artifact.digest for row in rows for artifact in brief(row.digest, row.manifest, where).artifacts}


def _pieces(digests: Sequence[str]) -> Iterator[Sequence[str]]:
    return (digests[k : k + AT_ONCE] for k in range(0, len(digests), AT_ONCE))
