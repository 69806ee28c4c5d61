"""Signatures: a person or a build puts an Ed25519 key under a release, and whoever loads it checks that.

The digest covers the manifest and the manifest the digests of the files, so one signature covers all of it.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from roadworthy.core.errors import BadData, Denied, Missing, MissingExtra, SpecError, Taken

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# A signature under this can be taken for one under nothing else that a key may sign.
DOMAIN = b"roadworthy release manifest, version 1\0"
PREFIX = "ed25519:"


class Signed(Struct, frozen=True):
    """That the key (`ed25519:<base64>`) signed the release at `at`, brought here by `by`."""

    digest: str
    key: str
    at: float
    by: str


def make_key(file: Path) -> str:
    """Write a new private key (PEM, 0600) and its public half beside it (`.pub`); returns the public key as text.

    Raises Taken where the file is there already.
    """
    _check_installed()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.PKCS8
    secret = private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        # Made with its rights, not given them afterwards: nobody may read it in between.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as there:
        raise Taken(f"`{file}` exists: a key is never overwritten; choose another name") from there
    except OSError as refused:
        raise BadData(f"cannot write the key {str(file)!r}: {refused}; choose a folder that you may write to") from None
    with os.fdopen(descriptor, "wb") as out:
        out.write(secret)
    file.with_name(f"{file.name}.pub").write_bytes(public)
    return public_text(private.public_key())


def public_text(key: Ed25519PublicKey) -> str:
    """`ed25519:<base64>`, as `promotion.trusted` lists it."""
    return PREFIX + base64.b64encode(key.public_bytes_raw()).decode()


def sign(digest: str, file: Path) -> tuple[str, bytes]:
    """The public key, and its signature of a release's digest, made with the private key in the file."""
    private = _private(file)
    return public_text(private.public_key()), private.sign(_message(digest))


def trusted_keys(trusted: Collection[str], root: Path = Path()) -> list[str]:
    """Each trusted key as `ed25519:<base64>`; one may be the path of a PEM file, relative to `root`."""
    return [public_text(_public(written, root)) for written in trusted]


def keep(connection: Connection, table: Table, signed: Signed, signature: bytes) -> bool:
    """Write a signature down; False where this key has signed it before."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = insert(table).values(digest=signed.digest, key=signed.key, signature=signature, at=signed.at, by=signed.by)
    # Not `rowcount`: PostgreSQL's driver does not tell it here.
    added = row.on_conflict_do_nothing(index_elements=["digest", "key"]).returning(table.c.key)
    return connection.execute(added).first() is not None


def signed_by(connection: Connection, table: Table, digest: str, trusted: Collection[str], root: Path) -> list[str]:
    """The trusted keys that signed the release. Raises Denied, saying what is there instead, where none did."""
    if not trusted:
        raise SpecError("`promotion.signed` is asked for and `promotion.trusted` names no key: list at least one")
    known = trusted_keys(trusted, root)
    rows = connection.execute(select(table.c.key, table.c.signature).where(table.c.digest == digest)).all()
    mine = [row for row in rows if row.key in known]
    for row in mine:
        if not _genuine(row.key, row.signature, digest):
            raise Denied(
                f"the signature of release {digest[:12]} by {row.key!r} is wrong: it was changed, or made for another"
                " release; do not serve it before you know why"
            )
    if not mine:
        others = ", ".join(repr(row.key) for row in rows)
        there = f"it is signed only by {others}" if others else "it is not signed"
        raise Denied(
            f"release {digest[:12]} needs a signature by a trusted key, and {there}; sign it with one of"
            f" {', '.join(map(repr, known))}"
        )
    return [row.key for row in mine]


def _message(digest: str) -> bytes:
    return DOMAIN + digest.encode()


def _genuine(key: str, signature: bytes, digest: str) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        _public(key, Path()).verify(signature, _message(digest))
    except InvalidSignature:
        return False
    return True


def _private(file: Path) -> Ed25519PrivateKey:
    _check_installed()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        found = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except OSError as gone:
        raise Missing(f"cannot read the key {str(file)!r}: {gone}; make one, or name another file") from gone
    except (TypeError, ValueError) as wrong:
        raise BadData(f"`{file}` is not a private key without a password, in PEM: {wrong}; make a new one") from wrong
    if not isinstance(found, Ed25519PrivateKey):
        raise BadData(f"`{file}` holds a {type(found).__name__}, not an Ed25519 key; make a new one")
    return found


def _public(written: str, root: Path) -> Ed25519PublicKey:
    _check_installed()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        if written.startswith(PREFIX):
            return Ed25519PublicKey.from_public_bytes(base64.b64decode(written[len(PREFIX) :], validate=True))
        found = serialization.load_pem_public_key((root / written).read_bytes())
    except OSError as gone:
        raise SpecError(f"trusted key {written!r} is neither `ed25519:<base64>` nor a file: {gone}") from gone
    except (binascii.Error, ValueError) as wrong:
        raise SpecError(f"trusted key {written!r} is no public Ed25519 key: {wrong}") from wrong
    if not isinstance(found, Ed25519PublicKey):
        raise SpecError(f"trusted key {written!r} holds a {type(found).__name__}, not an Ed25519 key")
    return found


def _check_installed() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as gone:
        raise MissingExtra("a signature", "cryptography", "sign") from gone
