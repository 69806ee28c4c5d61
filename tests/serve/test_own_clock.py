from __future__ import annotations

import os
import subprocess
import sys
import time

from roadworthy.serve.own_clock import OwnClock


def test_what_its_thread_sleeps_counts_as_on_any_clock() -> None:
    clock = OwnClock()
    began, wall = clock(), time.monotonic()
    time.sleep(0.05)
    passed, real = clock() - began, time.monotonic() - wall
    assert 0.04 < passed <= real + 0.001
    clock.close()


def test_the_time_in_which_others_had_the_processor_does_not_count() -> None:
    cores = os.sched_getaffinity(0)
    one = {min(cores)}
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(other.pid, one)
        os.sched_setaffinity(0, one)
        clock = OwnClock()
        began, wall, used = clock(), time.monotonic(), time.thread_time()
        while time.thread_time() - used < 0.1:
            pass
        own, real = clock() - began, time.monotonic() - wall
        clock.close()
    finally:
        os.sched_setaffinity(0, cores)
        other.kill()
        other.wait()
    assert 0.09 < own < real


def test_once_closed_and_where_the_system_tells_nothing_it_is_the_wall_s_pace() -> None:
    clock = OwnClock()
    clock.close()
    clock.close()
    before = time.monotonic()
    assert before <= clock() <= time.monotonic()
