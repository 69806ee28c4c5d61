"""Looks at the API key of a call before its body is read, and says who it is or why it may not come in."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from roadworthy.app.exchange import Call, Refused
from roadworthy.app.keys import Key, KeyFile, Scope, digest_of, is_text
from roadworthy.core.errors import Denied, SpecError

log = logging.getLogger(__name__)

# How many keys in use are recognised without hashing, and how often their use is written down.
MOST_SEEN = 4096
USED_SECONDS = 60.0


class Unknown(Denied):
    """401, with the header that tells a client how to say who it is."""

    headers = ((b"www-authenticate", b'Bearer realm="roadworthy"'),)


class Doorman:
    """Who may ask what: `admit` is for a Server, and `refresh` is for its tick, to see what other processes changed.

    Without any key everybody may ask everything. From the first key on a key is needed, also when all are revoked or
    the file is gone: what was once locked does not open by accident. A key's name becomes the caller's.
    """

    def __init__(
        self, file: KeyFile, scope_of: Callable[[Call], Scope | None], now: Callable[[], float] = time.time
    ) -> None:
        self._file, self._scope_of, self._now = file, scope_of, now
        self._keys: dict[bytes, Key] = {}
        self._seen: dict[bytes, Key] = {}
        self._used: dict[str, float] = {}
        self._wrote = now()
        self._stamp = self._stamp_now()
        self._take(file.read())

    @property
    def locked(self) -> bool:
        """Is a key needed?"""
        return bool(self._keys)

    def __str__(self) -> str:
        if not self.locked:
            return "no API keys: whoever reaches the server may use it (`roadworthy key new NAME` changes that)"
        valid = sum(key.state(self._now()) == "valid" for key in self._keys.values())
        return f"{valid} valid API key{'' if valid == 1 else 's'} of {len(self._keys)}"

    def admit(self, call: Call) -> str | None:
        """The name of the caller's key. Raises Unknown (401), or Refused (403) where the key may not do this."""
        if not self._keys:
            return None
        scope = self._scope_of(call)
        if scope is None:
            return None
        key, now = self._key_of(call), self._now()
        if (state := key.state(now)) != "valid":
            raise Unknown(f"the API key {key.name!r} is {state}; ask for a new one")
        if scope not in key.scopes and "admin" not in key.scopes:
            may = ", ".join(key.scopes)
            raise Refused(403, f"the API key {key.name!r} may {may}, and this needs {scope!r}")
        self._used[key.digest] = now
        return key.name

    def refresh(self) -> bool:
        """Take the file again if it changed, and write down now and then which keys were used; True for a change."""
        changed = (stamp := self._stamp_now()) != self._stamp
        if changed:
            self._stamp = stamp
            try:
                self._take(self._file.read())
            except SpecError as wrong:
                log.error("the keys that were known stay in use: %s", wrong)  # noqa: TRY400 the sentence says it all
        if self._used and self._now() - self._wrote > USED_SECONDS:
            self._wrote = self._now()
            # The disk may take its time, and this is called on the event loop.
            threading.Thread(target=self.note_used, name="use of API keys", daemon=True).start()
        return changed

    def note_used(self) -> None:
        """Write down when keys were used last, also at the end of a server. A disk that refuses costs only that."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            self._file.mark_used(used)
        except (OSError, SpecError) as wrong:
            log.warning("the use of API keys could not be noted: %s", wrong)

    def _key_of(self, call: Call) -> Key:
        given = _given(call)
        key = self._seen.get(given)
        if key is None:
            # Looked up by its hash: how long that takes says nothing about any key but the one that was given.
            key = self._keys.get(digest_of(given)) if is_text(given) else None
            if key is None:
                raise Unknown("this API key is not known here; see `roadworthy key list`")
            if len(self._seen) >= MOST_SEEN:
                self._seen.clear()
            self._seen[given] = key
        return key

    def _take(self, keys: Sequence[Key]) -> None:
        if keys or not self._keys:
            self._keys = {bytes.fromhex(key.digest): key for key in keys}
        else:
            log.error("the API keys are gone from %s: those that were known stay in use", self._file.path)
        self._seen = {}

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def public_scope(call: Call) -> Scope | None:
    """What a call of the public listener needs: nothing for health, control to load and unload, else infer."""
    path = call.path
    if path.startswith(b"/v2/health/"):
        return None
    return "control" if path.startswith(b"/v2/repository/") and path.endswith((b"/load", b"/unload")) else "infer"


def admin_scope(call: Call) -> Scope | None:
    """What a call of the operator's listener needs."""
    return "admin"


def _given(call: Call) -> bytes:
    """The key as the client sent it. Raises Unknown where there is none."""
    given = call.headers.get(b"authorization")
    if given is None:
        given = call.headers.get(b"x-api-key")
        if given is None:
            raise Unknown("this server needs an API key: send `authorization: Bearer KEY` or `x-api-key: KEY`")
        return given
    if given[:7].lower() != b"bearer ":
        raise Unknown("`authorization` is not understood; allowed: Bearer KEY")
    return given[7:].strip()
