"""The sampler of the machine: of this one, and of made-up `/proc` folders."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from roadworthy.observe.root_cause.host import HostSample, Sampler, forget_before, host_samples, keep_sample, sampling
from roadworthy.store.state import State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path / "state", "process") as opened:
        yield opened


def write_proc(proc: Path, busy: int, idle: int, steal: int = 0, waited: int = 0, running: int = 1) -> None:
    (proc / "pressure").mkdir(parents=True, exist_ok=True)
    (proc / "stat").write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 1 2 3\n")
    (proc / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 250 kB\n")
    (proc / "loadavg").write_text(f"0.5 0.4 0.3 {running}/412 9876\n")
    for name in ("cpu", "memory", "io"):
        (proc / "pressure" / name).write_text(f"some avg10=0.00 avg60=0.00 avg300=0.00 total={waited}\nfull total=0\n")


def test_shares_are_of_what_happened_since_the_sample_before(tmp_path):
    clock, own = iter([100.0, 110.0]), iter([0.0, 2.0])
    sampler = Sampler(tmp_path, proc=tmp_path / "proc", now=lambda: next(clock), own_seconds=lambda: next(own))
    write_proc(tmp_path / "proc", busy=5000, idle=5000, waited=1_000_000)
    assert sampler() is None
    # 10 s of two cores: 1,000 ticks at work, 800 idle, 200 stolen; some process waited for 5 s of the 10.
    write_proc(tmp_path / "proc", busy=6000, idle=5800, steal=200, waited=6_000_000)
    sample = sampler()
    assert (sample.busy, sample.others, sample.steal) == (0.5, 0.4, 0.1)
    assert sample.pressure == {"cpu": 0.5, "memory": 0.5, "io": 0.5}
    assert sample.memory == 0.75
    assert sample.disk_free_bytes > 0


def test_tasks_that_want_to_run_are_counted_without_the_one_that_counts(tmp_path):
    write_proc(tmp_path / "proc", 1, 1, running=1)
    clock = iter([1.0, 2.0])
    sampler = Sampler(tmp_path, proc=tmp_path / "proc", now=lambda: next(clock))
    sampler()
    assert sampler().runnable == 0.0


def test_a_machine_without_proc_tells_what_it_can(tmp_path):
    clock = iter([1.0, 2.0])
    sampler = Sampler(tmp_path, proc=tmp_path / "none", now=lambda: next(clock), gauges=lambda: {"queue_rows": 3})
    sampler()
    sample = sampler()
    assert (sample.busy, sample.memory, sample.runnable, sample.pressure) == (None, None, None, {})
    assert sample.readings["queue_rows"] == 3.0
    assert "busy" not in sample.readings


def test_a_clock_that_stands_or_jumps_back_gives_no_sample(tmp_path):
    clock = iter([10.0, 10.0, 4.0, 9.0])
    sampler = Sampler(tmp_path, now=lambda: next(clock))
    assert [sampler() is None for _ in range(4)] == [True, True, True, False]


def test_samples_are_kept_once_read_by_time_and_forgotten(state):
    samples = [HostSample(float(k), busy=0.1 * k) for k in range(5)]
    for sample in (*samples, samples[2]):
        keep_sample(state, sample)
    assert host_samples(state, 1.0, 4.0) == samples[1:4]
    assert forget_before(state, 2.0) == 2
    assert host_samples(state, 0.0, 9.0) == samples[2:]


def test_this_machine_is_sampled_on_a_thread_until_the_block_ends(state):
    with sampling(state, Sampler(state.directory, lambda: {"in_flight": 2}), every_seconds=0.02):
        for _ in range(500):
            if len(host_samples(state, 0.0, 1e12)) >= 3:
                break
            time.sleep(0.01)
    found = host_samples(state, 0.0, 1e12)
    assert len(found) >= 3
    assert all(s.gauges == {"in_flight": 2.0} for s in found)
    time.sleep(0.1)
    assert len(host_samples(state, 0.0, 1e12)) == len(found)


def test_a_gauge_that_fails_costs_its_samples_and_no_more(state, caplog):
    asked = iter(range(1_000_000))

    def gauges() -> dict[str, float]:
        if next(asked) < 2:
            raise RuntimeError("not up yet")
        return {}

    with sampling(state, Sampler(state.directory, gauges), every_seconds=0.02):
        for _ in range(500):
            if host_samples(state, 0.0, 1e12):
                break
            time.sleep(0.01)
    assert host_samples(state, 0.0, 1e12)
    assert "the host could not be sampled" in caplog.text
