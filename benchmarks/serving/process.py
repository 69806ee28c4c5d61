"""CPU time and memory of a process with all of its descendants, out of /proc (Linux); and how to stop such a tree."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
MIB = 2**20


class Usage(NamedTuple):
    """What a tree of processes has used: CPU seconds since its start, memory now.

    `rss_mib` counts a page that two processes share twice, `pss_mib` once.
    """

    cpu_seconds: float
    rss_mib: float
    pss_mib: float
    processes: int


def tree(root: int) -> list[int]:
    """The process and every living descendant of it."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of the tree; also of children that ended, once their parent has waited for them."""
    return sum(_ticks(pid) for pid in tree(root)) / TICKS


def usage(root: int) -> Usage:
    """CPU and memory of the tree at this moment."""
    pids = tree(root)
    memory = [_memory(pid) for pid in pids]
    return Usage(cpu_seconds(root), sum(rss for rss, _ in memory), sum(pss for _, pss in memory), len(pids))


def signal_tree(root: int, number: signal.Signals) -> None:
    """Send a signal to every process of the tree."""
    for pid in tree(root):
        _signal(pid, number)


def end_tree(root: int, patience_seconds: float = 10.0) -> None:
    """Ask the root to end, then whomever it left behind, and kill those who do not within `patience_seconds`."""
    pids = tree(root)
    for asked in ([root], pids):
        for pid in filter(_lives, asked):
            _signal(pid, signal.SIGTERM)
        until = time.monotonic() + patience_seconds
        while time.monotonic() < until and any(map(_lives, asked)):
            time.sleep(0.02)
    for pid in filter(_lives, pids):
        _signal(pid, signal.SIGKILL)


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            yield int(entry.name), int(fields[1])


def _ticks(pid: int) -> int:
    fields = _stat(pid)
    return sum(map(int, fields[11:15])) if fields else 0


def _lives(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (the name before may hold blanks); nothing for one that ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _memory(pid: int) -> tuple[float, float]:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0.0, 0.0
    kib = {line.split()[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    return kib.get("Rss:", 0) * 1024 / MIB, kib.get("Pss:", 0) * 1024 / MIB


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
