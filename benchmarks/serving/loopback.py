"""A network of this machine alone: the run goes on in a namespace whose only interface is 127.0.0.1.

Ray's daemons listen on every interface, whatever they are told; in here there is no other one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence

INSIDE = "ROADWORTHY_BENCH_LOOPBACK"
_UNSHARE = ("unshare", "--map-root-user", "--net")
# linux/sockios.h and linux/if.h
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1


def isolated() -> bool:
    """Are we inside?"""
    return INSIDE in os.environ


def isolate(arguments: Sequence[str]) -> None:
    """Begin this program anew inside; returns only where the system does not allow that."""
    if shutil.which(_UNSHARE[0]) and not subprocess.run([*_UNSHARE, "true"], capture_output=True).returncode:
        os.execvpe(_UNSHARE[0], [*_UNSHARE, sys.executable, *arguments], {**os.environ, INSIDE: "1"})


def raise_loopback() -> None:
    """Bring the interface up, which a new namespace has down."""
    with socket.socket() as any_socket:
        asked = struct.pack("16sh", b"lo", 0)
        _, flags = struct.unpack("16sh", fcntl.ioctl(any_socket, _GET_FLAGS, asked))
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh", b"lo", flags | _UP))
