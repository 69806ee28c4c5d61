from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from roadworthy.core.errors import Missing
from roadworthy.core.measure import Requirement, judge
from roadworthy.evaluate.process.memory import Memory, Watch, of_process, peak_bytes, resident_bytes

MB = 1_000_000
linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")

# Answers a line of input with a line of output, and keeps 2 MB a line, or keeps it for three lines only.
SERVER = """
import sys
held = []
print("ready", flush=True)
for line in sys.stdin:
    held.append(bytearray(b"x" * 2_000_000))
    if "breathe" in sys.argv and len(held) == 3:
        held.clear()
    print("answer", flush=True)
"""


def served(*how: str, requests: int = 160) -> Memory:
    """The memory of a real server while it answers; the clock is one of our own: half a second a request."""
    ticks = itertools.count()
    command = [sys.executable, "-c", SERVER, *how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        server.stdout.readline()
        watch = Watch(server.pid, every_seconds=3600.0, now=lambda: next(ticks) / 2)
        with watch:
            for _ in range(requests):
                server.stdin.write("ask\n")
                server.stdin.flush()
                server.stdout.readline()
                watch.look()
            found = watch.memory(requests)
        server.stdin.close()
    return found


@linux
def test_a_server_that_leaks_two_megabytes_a_request_is_found_out() -> None:
    found = served()
    assert found.verdict.decision == "fail", found.verdict.because
    assert found.slope.value == pytest.approx(4 * MB, rel=0.02)
    assert found.per_1k.value == pytest.approx(2000 * MB, rel=0.03)
    assert found.per_1k.low <= 2000 * MB * 1.01
    assert found.peak.value - found.idle.value == pytest.approx(320 * MB, rel=0.05)
    assert judge(found.peak, Requirement("rss_peak", at_most=1e9, unit="bytes")).decision == "pass"


@linux
def test_a_server_that_breathes_does_not_leak() -> None:
    found = served("breathe")
    assert found.verdict.decision == "pass", found.verdict.because
    assert found.peak.value - found.idle.value > 3 * MB


@linux
def test_a_watch_reads_by_itself_while_the_work_goes_on() -> None:
    with Watch(every_seconds=0.005) as watch:
        held = [bytearray(b"x" * MB) for _ in range(60)]
        while len(watch.rows) < 20:
            held[0] = bytearray(b"x" * MB)
    found = watch.memory()
    assert found.peak.value - found.idle.value > 30 * MB
    assert found.verdict.decision == "wait"
    assert not any(thread.name == "memory-watch" for thread in threading.enumerate())


@linux
def test_what_a_child_holds_counts_with_its_parent() -> None:
    code = "x = bytearray(b'x' * 50_000_000); print('ready', flush=True); input()"
    before = resident_bytes(os.getpid())
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        both = resident_bytes(os.getpid())
        alone = resident_bytes(child.pid)
        child.communicate(b"\n")
    assert alone is not None
    assert alone > 50 * MB
    assert both is not None
    assert before is not None
    assert both - before > 40 * MB


@linux
def test_our_own_memory_agrees_with_getrusage() -> None:
    import resource

    peak = peak_bytes(os.getpid())
    assert peak == pytest.approx(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, rel=0.05)
    assert of_process(os.getpid()).value <= 1.05 * peak


def test_a_process_that_is_not_there_is_said_to_be_unreadable() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    with Watch(gone.pid) as watch:
        pass
    found = watch.memory()
    assert found.verdict.decision == "wait"
    assert f"the memory of process {gone.pid} cannot be read" in found.because
    assert (found.idle.n, found.peak.n, found.slope.n) == (0, 0, 0)
    with pytest.raises(Missing, match="it has ended, or this is no Linux"):
        of_process(gone.pid)


def test_without_proc_our_own_peak_is_still_known() -> None:
    with Watch(read=lambda pid: None) as watch:
        pass
    assert watch.memory().idle.n == 0
    assert watch.memory().peak.value > 10 * MB


def test_memory_goes_to_json_and_back() -> None:
    ticks = itertools.count()
    watch = Watch(read=lambda pid: 4096 * 50, now=lambda: float(next(ticks)))
    for _ in range(100):
        watch.look()
    found = watch.memory(requests=10)
    assert found.verdict.decision == "pass"
    assert msgspec.json.decode(msgspec.json.encode(found), type=Memory) == found


def test_an_impossible_pace_is_refused() -> None:
    with pytest.raises(ValueError, match="`every_seconds` must be above 0"):
        Watch(every_seconds=0)
