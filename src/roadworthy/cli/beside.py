"""Starts `roadworthy tend` beside a server that has something to tend, and sees that it goes on."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from roadworthy.cli.background import beside_block
from roadworthy.store.records import RecordLog

log = logging.getLogger(__name__)

# A server that ends sooner has nothing that would want tending: sealing, watching and explaining take their time.
FIRST_SECONDS = 60.0
STOP_SECONDS = 10.0


def tended(
    project: Path, directory: Path, first_seconds: float = FIRST_SECONDS
) -> AbstractContextManager[threading.Event]:
    """While the block runs, another process tends the directory, from `first_seconds` on and once there are records.

    It is a process of its own, and a nice one, so that no answer ever waits for it. One that ends is started again.
    """
    return beside_block(lambda stop: _keep_tending(stop, project, directory, first_seconds))


def _keep_tending(stop: threading.Event, project: Path, directory: Path, every_seconds: float) -> None:
    process: subprocess.Popen[bytes] | None = None
    while not stop.wait(every_seconds):
        try:
            if process is not None and process.poll() is not None:
                log.error("`roadworthy tend` ended with %s; it is started again", process.returncode)
                process = None
            if process is None and _has_records(directory):
                process = _start(project, directory)
        except Exception:
            log.exception("%r cannot be tended", str(directory))
    if process is not None:
        _end(process)


def _has_records(directory: Path) -> bool:
    records = RecordLog(directory / "records.db")
    try:
        return records.position() > 0
    finally:
        records.close()


def _start(project: Path, directory: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "roadworthy.cli", "tend", "--project", str(project), "--state", str(directory)]
    command += ["--for", str(os.getpid())]
    with (directory / "tend.log").open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def gone(pid: int) -> Callable[[], bool]:
    """Says whether the process that this one works for has ended, so that nobody is tended for ever."""
    return lambda: os.getppid() != pid
