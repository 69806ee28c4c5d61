"""API keys: made, recognised by their text, and kept as hashes in `keys.json` of the state directory.

A key is `rw_`, 256 random bits, and a CRC-32 by which a scanner of leaked secrets (and we) can tell it from chance.
It is shown once. What is random enough needs no slow hash: SHA-256 takes a microsecond, scrypt would stall the server.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.errors import BadRequest, Missing, SpecError, Taken, unknown

Scope = Literal["infer", "control", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

FILE = "keys.json"
PREFIX = "rw_"
RANDOM_BYTES = 32
DAY_SECONDS = 86_400.0

# Base 62 survives a double click, a URL and a shell. 43 digits hold 256 bits, 6 hold a CRC-32.
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_DIGITS, _CHECK_DIGITS = 43, 6
_LENGTH = len(PREFIX) + _RANDOM_DIGITS + _CHECK_DIGITS


class Key(Struct, frozen=True, omit_defaults=True):
    """One key as it is kept: `digest` is the SHA-256 of the whole text, times are Unix seconds, 0 means never."""

    name: str
    digest: str
    scopes: tuple[Scope, ...]
    created: float
    expires: float = 0.0
    revoked: float = 0.0
    used: float = 0.0

    def state(self, now: float) -> Literal["valid", "revoked", "expired"]:
        """Whether it opens anything at this time."""
        if self.revoked:
            return "revoked"
        return "expired" if self.expires and now >= self.expires else "valid"


class KeyFile:
    """The keys of one state directory. Any number of processes may add and revoke; each change is one rename.

    Names are unique among the keys that are valid, so that one can be replaced under its name after it is revoked.
    """

    def __init__(self, directory: Path, now: Callable[[], float] = time.time) -> None:
        self.path = directory / FILE
        self._now = now

    def __repr__(self) -> str:
        return f"KeyFile({str(self.path)!r})"

    def read(self) -> tuple[Key, ...]:
        """Every key that was ever made. Raises SpecError for a file that cannot be read."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=tuple[Key, ...])
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.DecodeError) as wrong:
            raise SpecError(f"cannot read the API keys in {str(self.path)!r}: {wrong}; restore it") from wrong

    def new(
        self,
        name: str,
        scopes: Sequence[Scope] = ("infer",),
        days: float = 0.0,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> str:
        """Make a key and return its text, which nothing can show again. Raises Taken where the name is in use."""
        if not name.isprintable() or not 0 < len(name) <= 100:
            raise BadRequest(f"a key's name is 1 to 100 printable characters, got {name!r}")
        for scope in scopes:
            if scope not in SCOPES:
                raise BadRequest(unknown("scope", scope, SCOPES))
        if days < 0:
            raise BadRequest(f"`days` must be positive, or 0 for a key without end, got {days!r}")
        text, now = make_text(random(RANDOM_BYTES)), self._now()
        expires = now + days * DAY_SECONDS if days else 0.0
        made = Key(name, digest_of(text.encode()).hex(), tuple(dict.fromkeys(scopes)), now, expires)
        with self._changing() as keys:
            if any(key.name == name and key.state(now) == "valid" for key in keys):
                raise Taken(f"there is a valid key named {name!r}; revoke that one first, or choose another name")
            keys.append(made)
        return text

    def revoke(self, name: str) -> Key:
        """Let a key open nothing any more. Raises Missing where no valid key has the name."""
        now = self._now()
        with self._changing() as keys:
            valid = {key.name: i for i, key in enumerate(keys) if key.state(now) == "valid"}
            if name not in valid:
                raise Missing(unknown("valid key", name, valid))
            i = valid[name]
            keys[i] = replace(keys[i], revoked=now)
            return keys[i]

    def mark_used(self, used: dict[str, float]) -> None:
        """Note when keys (by digest) were used last."""
        with self._changing() as keys:
            keys[:] = [replace(key, used=max(key.used, used.get(key.digest, 0.0))) for key in keys]

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """The keys, to be changed in place and written at the end, while no other process does the same."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            keys = list(self.read())
            yield keys
            self._write(keys)

    def _write(self, keys: list[Key]) -> None:
        aside = self.path.with_suffix(".tmp")
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(keys)))
            file.flush()
            os.fsync(file.fileno())
        aside.rename(self.path)


def make_text(random: bytes) -> str:
    """The text of a key with these 256 random bits.

    >>> make_text(bytes(31) + bytes([61]))
    'rw_000000000000000000000000000000000000000000z4MVzsH'
    """
    body = _base62(int.from_bytes(random, "big"), _RANDOM_DIGITS)
    return f"{PREFIX}{body}{_base62(zlib.crc32(body.encode()), _CHECK_DIGITS)}"


def is_text(given: bytes) -> bool:
    """Could this be a key? Chance and typing errors cannot, but for one in four thousand million."""
    if len(given) != _LENGTH or not given.startswith(PREFIX.encode()):
        return False
    body, check = given[len(PREFIX) : -_CHECK_DIGITS], given[-_CHECK_DIGITS:]
    return _base62(zlib.crc32(body), _CHECK_DIGITS).encode() == check


def digest_of(text: bytes) -> bytes:
    """The SHA-256 of a key."""
    return hashlib.sha256(text).digest()


def _base62(number: int, digits: int) -> str:
    found = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        found = _DIGITS[digit] + found
    return found
