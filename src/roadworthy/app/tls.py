"""Certificates: an SSLContext made of two files, and made anew of them when they change, without a restart."""

from __future__ import annotations

import logging
import ssl
import stat
from pathlib import Path

from roadworthy.core.errors import SpecError

log = logging.getLogger(__name__)

# TLS 1.2 with forward secrecy and authenticated encryption only; the ciphers of TLS 1.3 are all of that kind.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Tls:
    """`context` speaks TLS 1.2 and above with the certificate (the whole chain, PEM) and its private key.

    Raises SpecError, naming the file, for what cannot be used: a missing file, a key that everybody on the machine can
    read, that is locked with a passphrase, or that belongs to another certificate.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate, self.key = certificate, key
        self._seen = self._stamps()
        self.context = _context(certificate, key)

    def __repr__(self) -> str:
        return f"Tls({str(self.certificate)!r}, {str(self.key)!r})"

    def refresh(self) -> bool:
        """Take the files again if they changed; True where new connections get another certificate from now on.

        A pair that cannot be used (one file of two may be replaced already) is logged, and the old one stays.
        """
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        self._seen = stamps
        try:
            _context(self.certificate, self.key)  # tried aside: a context keeps half of a pair that does not match
            self.context.load_cert_chain(self.certificate, self.key)
        except (SpecError, OSError) as wrong:
            log.warning("the certificate has changed and the old one stays in use: %s", wrong)
            return False
        log.info("the certificate %s was taken anew", self.certificate)
        return True

    def pair(self) -> tuple[bytes, bytes]:
        """The chain and the key as they are in the files now, in PEM."""
        return self.certificate.read_bytes(), self.key.read_bytes()

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in (self.certificate, self.key))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    _see_private(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=lambda: _locked(key))
    except FileNotFoundError as gone:
        raise SpecError(f"no certificate {str(certificate)!r}: name the file in `tls_certificate`") from gone
    except ssl.SSLError as wrong:
        raise SpecError(_sentence(wrong, certificate, key)) from wrong
    except OSError as wrong:
        raise SpecError(f"cannot read the certificate {str(certificate)!r}: {wrong}") from wrong
    return context


def _see_private(key: Path) -> None:
    try:
        mode = key.stat().st_mode
        with key.open("rb"):
            pass
    except OSError as wrong:
        raise SpecError(f"cannot read the private key {str(key)!r} (`tls_key`): {wrong.strerror}") from wrong
    if stat.S_IMODE(mode) & stat.S_IROTH:
        raise SpecError(f"everybody on this machine can read the private key {str(key)!r}: chmod 600 {key}")


def _locked(key: Path) -> str:
    raise SpecError(f"the private key {str(key)!r} is locked with a passphrase, for which nobody is there to ask")


def _sentence(wrong: ssl.SSLError, certificate: Path, key: Path) -> str:
    if "KEY_VALUES_MISMATCH" in str(wrong):
        return f"the private key {str(key)!r} does not belong to the certificate {str(certificate)!r}"
    return f"{str(certificate)!r} and {str(key)!r} are no certificate and key in PEM: {wrong.reason or wrong}"
