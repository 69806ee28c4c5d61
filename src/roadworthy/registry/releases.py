"""The registry: immutable releases, and which of them each alias of a deployment pointed at, at any time.

History is only ever added to: a rollback is a new line, not a line taken back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Engine, Table, exists, insert, select

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadData, Missing, SpecError, Taken, unknown

# Clocks step back a little when they are set; a change of that kind is dated with the one ahead of it.
CLOCK_STEP_SECONDS = 60.0


class Files(Protocol):
    """Where artifacts lie, by the digest of their bytes (`store.Blobs`)."""

    def put(self, path: Path) -> str: ...
    def path(self, digest: str) -> Path: ...
    def check(self, digest: str) -> Path: ...


class Home(Protocol):
    """What the registry needs of a state directory (`store.State`)."""

    @property
    def engine(self) -> Engine: ...
    @property
    def tables(self) -> Mapping[str, Table]: ...
    @property
    def blobs(self) -> Files: ...


class AliasChange(Struct, frozen=True):
    """From `at` (Unix seconds) on, `alias` of `deployment` meant the release `digest` (None: nothing any more)."""

    seq: int
    deployment: str
    alias: str
    digest: str | None
    at: float
    by: str
    why: str


# Named here, because inside of Registry `list` is its method.
Changes = list[AliasChange]
Releases = list[Release]


class Registry:
    """Releases and aliases of one state directory."""

    def __init__(self, state: Home) -> None:
        self._engine = state.engine
        self._reader = state.engine.execution_options(reading=True)
        self._blobs = state.blobs
        self._releases = state.tables["releases"]
        self._aliases = state.tables["aliases"]

    def add(self, release: Release, files: Mapping[str, Path]) -> Release:
        """Keep a release and its files (by artifact name), and return it with the digests filled in.

        An artifact without a file must be here already, under its digest. Adding the same again changes nothing.
        Raises SpecError where files and artifacts do not match.
        """
        names = [artifact.name for artifact in release.artifacts]
        for name in files:
            if name not in names:
                raise SpecError(f"release {release.name!r}: {unknown('artifact', name, names)}")
        artifacts = tuple(self._kept(artifact, files.get(artifact.name)) for artifact in release.artifacts)
        whole = msgspec.structs.replace(release, artifacts=artifacts)
        self._insert(whole)
        return whole

    def get(self, digest: str) -> Release:
        """The release with this digest, or with the only digest that begins so. Raises Missing."""
        column = self._releases.c
        with self._reader.connect() as connection:
            whole = self._whole(connection, digest)
            manifest = connection.execute(select(column.manifest).where(column.digest == whole)).scalar_one()
        return _read(whole, manifest)

    def files(self, release: Release) -> dict[str, Path]:
        """Where each artifact's file is, after checking its bytes. Raises Missing or BadData, naming the file."""
        return {artifact.name: self._blobs.check(artifact.digest) for artifact in release.artifacts}

    def list(self) -> Releases:
        """All releases, the oldest first."""
        column = self._releases.c
        chosen = select(column.digest, column.manifest).order_by(column.made_at, column.digest)
        with self._reader.connect() as connection:
            return [_read(row.digest, row.manifest) for row in connection.execute(chosen)]

    def point(self, deployment: str, alias: str, digest: str | None, at: float, by: str, why: str) -> AliasChange:
        """Let `alias` mean a release from `at` on (None: no release any more).

        Raises Missing on an unknown release, and Taken when `at` lies before a change that is written already.
        """
        if not math.isfinite(at):
            raise SpecError(f"`at` must be Unix seconds, got {at!r}")
        # `begin` holds the write lock from here on, so that nobody gets in between the last change and this one.
        with self._engine.begin() as connection:
            whole = None if digest is None else self._whole(connection, digest)
            at = self._dated(connection, deployment, alias, at)
            values = {"deployment": deployment, "alias": alias, "digest": whole, "at": at, "by": by, "why": why}
            seq = connection.execute(insert(self._aliases).values(values).returning(self._aliases.c.seq)).scalar_one()
        return AliasChange(seq, deployment, alias, whole, at, by, why)

    def alias(self, deployment: str, alias: str, at: float | None = None) -> str | None:
        """The digest that the alias means, or meant at time `at`; None when it meant nothing."""
        column = self._aliases.c
        chosen = select(column.digest).where(column.deployment == deployment, column.alias == alias)
        if at is not None:
            chosen = chosen.where(column.at <= at)
        with self._reader.connect() as connection:
            return connection.execute(chosen.order_by(column.seq.desc()).limit(1)).scalar()

    def history(self, deployment: str, alias: str | None = None) -> Changes:
        """Every change of the deployment's aliases, or of one of them, in the order in which they were made."""
        column = self._aliases.c
        chosen = select(self._aliases).where(column.deployment == deployment).order_by(column.seq)
        if alias is not None:
            chosen = chosen.where(column.alias == alias)
        with self._reader.connect() as connection:
            return [AliasChange(**row._mapping) for row in connection.execute(chosen)]

    def lineage(self, release: Release) -> Releases:
        """The release, its parent, the parent's parent, and so on for as long as they are here."""
        line = [release]
        while (parent := line[-1].parent) and self._has(parent):
            line.append(self.get(parent))
        return line

    def _kept(self, artifact: Artifact, file: Path | None) -> Artifact:
        """The artifact with digest and size filled in, its file being in the blobs."""
        if file is None:
            if not artifact.digest:
                raise SpecError(f"artifact {artifact.name!r} has neither a file nor a digest: give its file in `files`")
            return msgspec.structs.replace(artifact, bytes=self._blobs.path(artifact.digest).stat().st_size)
        digest = self._blobs.put(file)
        if artifact.digest not in ("", digest):
            raise SpecError(f"artifact {artifact.name!r}: `{file}` has digest {digest!r}, not {artifact.digest!r}")
        return msgspec.structs.replace(artifact, digest=digest, bytes=self._blobs.path(digest).stat().st_size)

    def _insert(self, release: Release) -> None:
        manifest = msgspec.json.encode(release).decode()
        if not _comes_back(manifest, release):
            raise SpecError(f"release {release.name!r} holds a value that JSON cannot keep (NaN, infinity): {manifest}")
        values = {"digest": release.digest, "name": release.name, "made_at": release.made_at, "manifest": manifest}
        with self._engine.begin() as connection:
            there = select(exists().where(self._releases.c.digest == release.digest))
            if not connection.execute(there).scalar():
                connection.execute(insert(self._releases).values(values))

    def _has(self, digest: str) -> bool:
        with self._reader.connect() as connection:
            return bool(connection.execute(select(exists().where(self._releases.c.digest == digest))).scalar())

    def _whole(self, connection: Connection, digest: str) -> str:
        """The one whole digest that begins with this one."""
        column = self._releases.c
        begins = column.digest.startswith(digest, autoescape=True)
        found = connection.execute(select(column.digest, column.name).where(begins).limit(6)).all()
        if len(found) == 1 and digest:
            return str(found[0].digest)
        if not found or not digest:
            newest = connection.execute(select(column.digest).order_by(column.made_at.desc()).limit(5)).scalars()
            known = ", ".join(known[:12] for known in newest)
            raise Missing(f"no release with the digest {digest!r} (newest: {known or 'none yet'})")
        several = ", ".join(f"{row.digest[: len(digest) + 8]} ({row.name})" for row in found)
        raise Missing(f"several releases begin with {digest!r}: {several}; give more digits")

    def _dated(self, connection: Connection, deployment: str, alias: str, at: float) -> float:
        column = self._aliases.c
        chosen = select(column.at).where(column.deployment == deployment, column.alias == alias)
        last = connection.execute(chosen.order_by(column.seq.desc()).limit(1)).scalar()
        if last is None or at >= last:
            return at
        if last - at <= CLOCK_STEP_SECONDS:
            return float(last)
        raise Taken(
            f"{alias!r} of {deployment!r} was changed at {last!r}, after `at`={at!r}: history is only added to;"
            " use one clock for a state directory, or another directory"
        )


def _comes_back(manifest: str, release: Release) -> bool:
    """Whether the manifest, read again, is the release: JSON writes null for NaN and for infinity."""
    try:
        return msgspec.json.decode(manifest, type=Release).digest == release.digest
    except msgspec.ValidationError:
        return False


def _read(digest: str, manifest: str) -> Release:
    """The release in a manifest. Raises BadData when it is no longer the one that was written."""
    try:
        release = msgspec.json.decode(manifest, type=Release)
    except msgspec.DecodeError as wrong:
        raise BadData(f"the manifest of release {digest!r} cannot be read: {wrong}; restore `metadata.db`") from wrong
    if release.digest != digest:
        raise BadData(f"the manifest of release {digest!r} has changed: its digest is now {release.digest!r}")
    return release
