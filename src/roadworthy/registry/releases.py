"""The registry: immutable releases, and which of them each alias of a deployment pointed at, at any time.

It is the door: what it offers is done in the modules beside it (`aliases`, `promotion`, `signing`, `holds`, ...).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec
from sqlalchemy import Connection, exists, insert, select

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import Missing, SpecError, unknown
from roadworthy.core.measure import Verdict
from roadworthy.core.spec import Promotion
from roadworthy.registry.home import Files, Home, alone, place, reading, writing
from roadworthy.registry.keeping import aliases, garbage, holds, listing, signing
from roadworthy.registry.keeping import promotion as of_promotion
from roadworthy.registry.keeping.aliases import AliasChange, Standing
from roadworthy.registry.keeping.garbage import Collected
from roadworthy.registry.keeping.holds import ReleaseHold
from roadworthy.registry.keeping.listing import Listing
from roadworthy.registry.keeping.manifests import read, written
from roadworthy.registry.keeping.promotion import Approval
from roadworthy.registry.keeping.signing import Signed

NO_RULES = Promotion()

__all__ = ["AliasChange", "Files", "Home", "Registry", "Standing"]

# Named here, because inside of Registry `list` is its method.
Changes = list[AliasChange]
Releases = list[Release]
Approvals = list[Approval]
Holds = list[ReleaseHold]
Signatures = list[Signed]
Keys = list[str]


class Registry:
    """Releases and aliases of one state directory.

    `promotion` says what a release must have before it becomes stable; paths of trusted keys in it begin at `root`.
    """

    def __init__(self, state: Home, promotion: Promotion = NO_RULES, root: Path = Path()) -> None:
        self._home = state
        self._rules = promotion
        self._root = root
        self._blobs = state.blobs
        self._releases = state.tables["releases"]
        self._aliases = state.tables["aliases"]

    @property
    def home(self) -> Home:
        """The state directory, for whoever reads more of it."""
        return self._home

    def add(self, release: Release, files: Mapping[str, Path], at: float | None = None, by: str = "") -> Release:
        """Keep a release and its files (by artifact name), and return it with the digests filled in.

        An artifact without a file must be here already, under its digest. Adding the same again changes nothing.
        `at` and `by` say who added it when, where that is not who made it. Raises SpecError where files and artifacts
        do not match.
        """
        names = [artifact.name for artifact in release.artifacts]
        for name in files:
            if name not in names:
                raise SpecError(f"release {release.name!r}: {unknown('artifact', name, names)}")
        artifacts = tuple(self._kept(artifact, files.get(artifact.name)) for artifact in release.artifacts)
        whole = msgspec.structs.replace(release, artifacts=artifacts)
        self._insert(whole, files, release.made_at if at is None else at, by or release.made_by)
        return whole

    def get(self, digest: str) -> Release:
        """The release with this digest, or with the only digest that begins so. Raises Missing."""
        with reading(self._home) as connection:
            return self._read(connection, digest)

    def files(self, release: Release, trusted: Collection[str] = ()) -> dict[str, Path]:
        """Where each artifact's file is, after checking its bytes. Raises Missing or BadData, naming the file.

        Where the rules ask for signatures, or `trusted` keys are given, the release must be signed: see `verify`.
        """
        if trusted or self._rules.signed:
            self.verify(release.digest, trusted)
        return {artifact.name: self._blobs.check(artifact.digest) for artifact in release.artifacts}

    def list(self) -> Releases:
        """All releases, the oldest first."""
        column, where = self._releases.c, place(self._home)
        chosen = select(column.digest, column.manifest).order_by(column.made_at, column.digest)
        with reading(self._home) as connection:
            return [read(row.digest, row.manifest, where) for row in connection.execute(chosen)]

    def listing(self, limit: int = 50, skip: int = 0, name: str = "") -> Listing:
        """A page of releases, the newest first, with what each is now; see `registry.listing`."""
        return listing.listing(self._home, limit, skip, name)

    def point(
        self, deployment: str, alias: str, digest: str | None, at: float, by: str, why: str, rollout: str = ""
    ) -> AliasChange:
        """Let `alias` mean a release from `at` on (None: no release any more).

        Raises Missing on an unknown release, Taken when `at` lies before a change that is written already, and Denied
        when the release may not become stable yet.
        """
        with writing(self._home) as connection:
            return self.moved(connection, deployment, alias, digest, at, by, why, rollout)

    def moved(
        self,
        connection: Connection,
        deployment: str,
        alias: str,
        digest: str | None,
        at: float,
        by: str,
        why: str,
        rollout: str = "",
    ) -> AliasChange:
        """What `point` does, in the transaction of whoever has more to write with it, as a rollout's last step.

        `rollout` is the id of the rollout that passed with this release, for a project where only that may promote.
        """
        alone(connection)
        release = None if digest is None else self._read(connection, digest)
        if alias == "stable" and release is not None:
            told = self._judged(connection, deployment, release, rollout)
            if (refusal := of_promotion.refused(deployment, release.digest, told)) is not None:
                raise refusal
        whole = None if release is None else release.digest
        at = aliases.dated(connection, self._aliases, deployment, alias, at)
        before = aliases.meant(connection, self._aliases, deployment, alias, None)
        change = aliases.write(connection, self._aliases, deployment, alias, whole, at, by, why)
        data = {"to": whole, "from": before and before.digest, "why": why, "rollout": rollout}
        self._home.audited(connection, at, by, "alias moved", f"{deployment}/{alias}", data)
        return change

    def may_become_stable(self, deployment: str, digest: str, rollout: str = "") -> tuple[Verdict, ...]:
        """What each rule of promotion says of a release now; all must pass before `stable` may mean it."""
        with reading(self._home) as connection:
            return self._judged(connection, deployment, self._read(connection, digest), rollout)

    def alias(self, deployment: str, alias: str, at: float | None = None) -> str | None:
        """The digest that the alias means, or meant at time `at`; None when it meant nothing."""
        with reading(self._home) as connection:
            change = aliases.meant(connection, self._aliases, deployment, alias, at)
        return None if change is None else change.digest

    def at(self, deployment: str, at: float) -> Standing:
        """What every alias of the deployment meant at a time, since when, by whom and why."""
        with reading(self._home) as connection:
            return aliases.standing(connection, self._aliases, deployment, at)

    def history(self, deployment: str, alias: str | None = None) -> Changes:
        """Every change of the deployment's aliases, or of one of them, in the order in which they were made."""
        column = self._aliases.c
        chosen = select(self._aliases).where(column.deployment == deployment).order_by(column.seq)
        if alias is not None:
            chosen = chosen.where(column.alias == alias)
        with reading(self._home) as connection:
            return [AliasChange(**row._mapping) for row in connection.execute(chosen)]

    def lineage(self, release: Release) -> Releases:
        """The release, its parent, the parent's parent, and so on for as long as they are here."""
        line = [release]
        while (parent := line[-1].parent) and self._has(parent):
            line.append(self.get(parent))
        return line

    def approve(self, digest: str, at: float, by: str, why: str) -> Approval:
        """Say that a release may go into production. Once said it stays said; who made the release cannot say it."""
        table = self._home.tables["approvals"]
        with writing(self._home) as connection:
            release = self._read(connection, digest)
            if of_promotion.approve(connection, table, release, at, by, why):
                self._home.audited(connection, at, by, "release approved", release.digest, {"why": why})
            given = of_promotion.approvals(connection, table, release.digest)
        return next(approval for approval in given if approval.by == by)

    def approvals(self, digest: str) -> Approvals:
        """Who approved a release, the first one first."""
        with reading(self._home) as connection:
            return of_promotion.approvals(
                connection, self._home.tables["approvals"], self._read(connection, digest).digest
            )

    def sign(self, digest: str, key: Path, at: float, by: str) -> Signed:
        """Sign a release with the private key in a file (`signing.make_key`), and keep the signature."""
        with writing(self._home) as connection:
            whole = self._read(connection, digest).digest
            public, signature = signing.sign(whole, key)
            signed = Signed(whole, public, at, by)
            if signing.keep(connection, self._home.tables["signatures"], signed, signature):
                self._home.audited(connection, at, by, "release signed", whole, {"key": public})
        return signed

    def signatures(self, digest: str) -> Signatures:
        """Who signed a release with which key; whether the signatures are right `verify` says."""
        table = self._home.tables["signatures"]
        with reading(self._home) as connection:
            whole = self._read(connection, digest).digest
            rows = connection.execute(select(table).where(table.c.digest == whole).order_by(table.c.at))
            return [Signed(row.digest, row.key, row.at, row.by) for row in rows]

    def verify(self, digest: str, trusted: Collection[str] = ()) -> Keys:
        """The trusted keys (those of the rules where none are given) that signed a release. Raises Denied."""
        table = self._home.tables["signatures"]
        with reading(self._home) as connection:
            whole = self._read(connection, digest).digest
            return signing.signed_by(connection, table, whole, trusted or self._rules.trusted, self._root)

    def hold(self, digest: str, at: float, by: str, why: str) -> ReleaseHold:
        """Keep a release, and what it was made from, whatever a collection of garbage finds."""
        with writing(self._home) as connection:
            whole = self._read(connection, digest).digest
            made = holds.hold(connection, self._home.tables["release_holds"], whole, at, by, why)
            self._home.audited(connection, at, by, "release held", whole, {"hold": made.seq, "why": why})
        return made

    def lift(self, seq: int, at: float, by: str, why: str) -> ReleaseHold:
        """End a hold. Raises Missing where none of that number stands."""
        with writing(self._home) as connection:
            lifted = holds.lift(connection, self._home.tables["release_holds"], seq, at)
            self._home.audited(connection, at, by, "hold lifted", lifted.digest, {"hold": seq, "why": why})
        return lifted

    def holds(self, lifted: bool = False) -> Holds:
        """The holds that stand, and with `lifted` those that were lifted too, oldest first."""
        with reading(self._home) as connection:
            return holds.holds(connection, self._home.tables["release_holds"], lifted)

    def collect(
        self,
        kept: Collection[str],
        at: float,
        by: str,
        why: str,
        least_age_hours: float = 24.0,
        dry_run: bool = True,
    ) -> Collected:
        """Remove releases and files that nothing refers to; `kept` are the releases in the record log."""
        return garbage.collect(self._home, kept, at, by, why, least_age_hours, dry_run)

    def _judged(self, connection: Connection, deployment: str, release: Release, rollout: str) -> tuple[Verdict, ...]:
        return of_promotion.may_become_stable(
            connection, self._home, self._rules, deployment, release, rollout, self._root
        )

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

    def _insert(self, release: Release, files: Mapping[str, Path], at: float, by: str) -> None:
        manifest, digest = written(release), release.digest
        values = {"digest": digest, "name": release.name, "made_at": release.made_at, "manifest": manifest}
        with writing(self._home) as connection:
            self._keep_files(release, files)
            there = select(exists().where(self._releases.c.digest == digest))
            if not connection.execute(there).scalar():
                connection.execute(insert(self._releases).values(values))
                self._home.audited(connection, at, by, "release added", digest, {"name": release.name})

    def _keep_files(self, release: Release, files: Mapping[str, Path]) -> None:
        """A collection of garbage may have come between the files and their release; from here on it cannot."""
        for artifact in release.artifacts:
            try:
                self._blobs.path(artifact.digest)
            except Missing:
                if artifact.name not in files:
                    raise
                self._blobs.put(files[artifact.name])

    def _has(self, digest: str) -> bool:
        with reading(self._home) as connection:
            return bool(connection.execute(select(exists().where(self._releases.c.digest == digest))).scalar())

    def _read(self, connection: Connection, digest: str) -> Release:
        """The one release whose digest begins with this one."""
        column = self._releases.c
        found = []
        if re.fullmatch("[0-9a-f]{1,64}", digest):
            # `g` follows the last hexadecimal digit, so the index gives exactly those that begin so.
            begins = select(column.digest, column.name, column.manifest).where(
                column.digest >= digest, column.digest < f"{digest}g"
            )
            found = list(connection.execute(begins.limit(6)))
        if len(found) == 1:
            return read(found[0].digest, found[0].manifest, place(self._home))
        if not found:
            newest = connection.execute(select(column.digest).order_by(column.made_at.desc()).limit(5)).scalars()
            known = ", ".join(known[:12] for known in newest)
            raise Missing(f"no release with the digest {digest!r} (newest: {known or 'none yet'})")
        several = ", ".join(f"{row.digest[: len(digest) + 8]} ({row.name})" for row in found)
        raise Missing(f"several releases begin with {digest!r}: {several}; give more digits")
