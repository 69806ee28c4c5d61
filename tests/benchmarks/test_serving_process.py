"""CPU and memory of a real tree of processes: a shell whose child burns CPU, sleeps or hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from serving.process import cpu_seconds, end_tree, signal_tree, tree, usage

BURN = "import time\nwhile time.process_time() < 0.4: pass\nprint('done', flush=True)\ntime.sleep(60)"
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(60)"


def parent_of(code: str) -> subprocess.Popen[str]:
    """A process whose only work is to wait for a child that runs the code; returns once the child has spoken."""
    start = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    parent = subprocess.Popen([sys.executable, "-c", start, code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    parent.stdout.readline()
    return parent


def test_cpu_of_a_child_counts_and_its_memory_too():
    with parent_of(BURN) as parent:
        try:
            used = usage(parent.pid)
            alone = float(Path(f"/proc/{parent.pid}/stat").read_text().split()[13]) / os.sysconf("SC_CLK_TCK")
        finally:
            end_tree(parent.pid)
    assert used.processes == 2
    assert used.cpu_seconds >= 0.3 > alone
    assert 0 < used.pss_mib <= used.rss_mib


def test_cpu_of_a_child_that_ended_is_not_lost():
    code = "import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', sys.argv[1]])\nprint('x', flush=True)"
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}\ntime.sleep(60)", burn], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        try:
            assert tree(parent.pid) == [parent.pid]
            assert cpu_seconds(parent.pid) >= 0.3
        finally:
            end_tree(parent.pid)


def test_a_tree_that_does_not_listen_is_killed():
    with parent_of(DEAF) as parent:
        pids = tree(parent.pid)
        end_tree(parent.pid, patience_seconds=0.2)
        parent.wait()
    assert len(pids) == 2
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_stopped_tree_uses_no_cpu_until_it_goes_on():
    with parent_of("print('on', flush=True)\nwhile True: pass") as parent:
        try:
            signal_tree(parent.pid, signal.SIGSTOP)
            time.sleep(0.05)
            before = cpu_seconds(parent.pid)
            time.sleep(0.2)
            stopped = cpu_seconds(parent.pid) - before
            signal_tree(parent.pid, signal.SIGCONT)
            until = time.monotonic() + 20
            while cpu_seconds(parent.pid) < before + 0.05 and time.monotonic() < until:
                time.sleep(0.01)
            went_on = cpu_seconds(parent.pid) - before
        finally:
            end_tree(parent.pid)
    assert stopped == 0
    assert went_on >= 0.05


def test_a_process_that_is_gone_has_used_nothing_that_we_know_of():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert usage(gone.pid)[:3] == (0.0, 0.0, 0.0)
