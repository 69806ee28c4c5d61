"""Manifests: a release as the text that the database keeps, and how one that was changed is found out."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from roadworthy.core.artifact import Release
from roadworthy.core.errors import BadData, SpecError


class Brief(Struct, frozen=True):
    """What collecting and drawing need of thousands of releases: the parent, and the digests of the files."""

    name: str
    artifacts: tuple[BriefArtifact, ...]
    parent: str = ""
    made_at: float = 0.0


class BriefArtifact(Struct, frozen=True):
    """A file of a release."""

    digest: str
    bytes: int


def written(release: Release) -> str:
    """The manifest of a release. Raises SpecError where reading it would give another release."""
    manifest = msgspec.json.encode(release).decode()
    if not _comes_back(manifest, release):
        raise SpecError(f"release {release.name!r} holds a value that JSON cannot keep (NaN, infinity): {manifest}")
    return manifest


def read(digest: str, manifest: str, place: str) -> Release:
    """The release in a manifest. Raises BadData, naming the database, when it is no longer what was written."""
    try:
        release = msgspec.json.decode(manifest, type=Release)
    except (msgspec.DecodeError, ValueError) as wrong:
        raise BadData(_told(digest, place, f"cannot be read: {wrong}")) from wrong
    if release.digest != digest:
        raise BadData(_told(digest, place, f"has changed: its digest is now {release.digest!r}"))
    return release


def brief(digest: str, manifest: str, place: str) -> Brief:
    """The brief of a manifest, which is not checked against its digest. Raises BadData where it cannot be read."""
    try:
        return msgspec.json.decode(manifest, type=Brief)
    except (msgspec.DecodeError, ValueError) as wrong:
        raise BadData(_told(digest, place, f"cannot be read: {wrong}")) from wrong


def _told(digest: str, place: str, what: str) -> str:
    return f"the manifest of release {digest!r} {what}; it was edited or damaged in {place}: restore that from a backup"


def _comes_back(manifest: str, release: Release) -> bool:
    """Whether the manifest, read again, is the release: JSON writes null for NaN and for infinity."""
    try:
        return msgspec.json.decode(manifest, type=Release).digest == release.digest
    except msgspec.ValidationError:
        return False
