"""The host is the machine that a server runs on: sampled every few seconds, kept for a while, read when asked why."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import delete, insert, select

from roadworthy.store.state import State

log = logging.getLogger(__name__)

PRESSURES = ("cpu", "memory", "io")
_SINGLE = ("busy", "others", "steal", "load", "runnable", "memory", "disk_free_bytes")


class HostSample(Struct, frozen=True, omit_defaults=True):
    """The machine over the seconds before `at` (Unix seconds). Shares are of all cores, or of the time; None: not told.

    `busy` is the work of all processes and `others` that of all but this one, `steal` what the hypervisor took away,
    `pressure` the share of time in which some process waited for processor, memory or disk (PSI). `runnable` counts the
    tasks that run or wait to at this moment, and `load` those of the last minute, for each core. `gauges` are what the
    server says of itself, such as `queue_rows` and `in_flight`.
    """

    at: float
    busy: float | None = None
    others: float | None = None
    steal: float | None = None
    load: float | None = None
    runnable: float | None = None
    memory: float | None = None
    pressure: Mapping[str, float] = msgspec.field(default_factory=dict)
    disk_free_bytes: int | None = None
    gauges: Mapping[str, float] = msgspec.field(default_factory=dict)

    @property
    def readings(self) -> dict[str, float]:
        """Everything that is known, by name."""
        told = {name: getattr(self, name) for name in _SINGLE}
        known = {name: float(value) for name, value in told.items() if value is not None}
        return {**known, **{f"pressure.{name}": value for name, value in self.pressure.items()}, **self.gauges}


class _Reading(NamedTuple):
    """Counters at one moment: seconds of all cores, of this process, and of waiting."""

    at: float
    total: float
    busy: float
    steal: float
    own: float
    waited: Mapping[str, float]


@dataclass
class Sampler:
    """Each call is a sample of what happened since the call before; the first one only begins.

    `disk` is the directory whose disk may fill up, `gauges` asks the server about itself. Costs about 0.2 ms.
    """

    disk: Path
    gauges: Callable[[], Mapping[str, float]] = dict
    proc: Path = Path("/proc")
    now: Callable[[], float] = time.time
    own_seconds: Callable[[], float] = time.process_time
    _before: _Reading | None = field(default=None, repr=False)

    def __call__(self) -> HostSample | None:
        before, reading = self._before, self._read()
        self._before = reading
        if before is None or reading.at <= before.at:
            return None
        shares = _shares(before, reading)
        return HostSample(
            reading.at,
            *shares,
            load=os.getloadavg()[0] / (os.cpu_count() or 1),
            runnable=_runnable(self.proc / "loadavg"),
            memory=_memory(self.proc / "meminfo"),
            pressure=_pressure(before, reading),
            disk_free_bytes=shutil.disk_usage(self.disk).free,
            gauges={name: float(value) for name, value in self.gauges().items()},
        )

    def _read(self) -> _Reading:
        total, busy, steal = _processor(self.proc / "stat")
        waited = {name: _waited(self.proc / "pressure" / name) for name in PRESSURES}
        known = {name: seconds for name, seconds in waited.items() if seconds is not None}
        return _Reading(self.now(), total, busy, steal, self.own_seconds(), known)


@contextmanager
def sampling(state: State, sampler: Sampler, every_seconds: float = 5.0, keep_days: float = 30.0) -> Iterator[None]:
    """Sample on a thread of its own while the block runs; a sample that cannot be kept is logged and left out."""
    stop = threading.Event()
    given = (state, sampler, every_seconds, keep_days, stop)
    thread = threading.Thread(target=_sample_until, args=given, name="host sampler", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def keep_sample(state: State, sample: HostSample) -> None:
    """Write one sample; one of the same moment is there already."""
    table = state.tables["host_samples"]
    with state.engine.begin() as connection:
        known = connection.execute(select(table.c.at).where(table.c.at == sample.at)).first()
        if known is None:
            connection.execute(insert(table).values(at=sample.at, body=msgspec.msgpack.encode(sample)))


def forget_before(state: State, at: float) -> int:
    """Remove the samples from before `at`; how many there were."""
    table = state.tables["host_samples"]
    with state.engine.begin() as connection:
        return int(connection.execute(delete(table).where(table.c.at < at)).rowcount)


def host_samples(state: State, since: float, until: float) -> list[HostSample]:
    """The samples with `since` <= at < `until`, in the order of time."""
    table = state.tables["host_samples"]
    chosen = select(table.c.body).where(table.c.at >= since, table.c.at < until).order_by(table.c.at)
    with state.engine.execution_options(reading=True).connect() as connection:
        bodies = connection.execute(chosen).scalars().all()
    return [msgspec.msgpack.decode(body, type=HostSample) for body in bodies]


def _sample_until(state: State, sampler: Sampler, every: float, keep_days: float, stop: threading.Event) -> None:
    pruned = -float("inf")
    while True:
        try:
            sample = sampler()
            if sample is not None:
                keep_sample(state, sample)
                if sample.at - pruned > 3600:
                    forget_before(state, sample.at - keep_days * 86_400)
                    pruned = sample.at
        except Exception:
            log.exception("the host could not be sampled")
        if stop.wait(every):
            return


def _shares(before: _Reading, now: _Reading) -> tuple[float | None, float | None, float | None]:
    """Busy, others, steal; nothing where the machine does not tell, or its counters were begun anew."""
    total = now.total - before.total
    if not total > 0:
        return None, None, None
    busy, steal = (now.busy - before.busy) / total, (now.steal - before.steal) / total
    others = busy - (now.own - before.own) / total
    return _share(busy), _share(others), _share(steal)


def _pressure(before: _Reading, now: _Reading) -> dict[str, float]:
    length = now.at - before.at
    both = [name for name in now.waited if name in before.waited]
    return {name: _share((now.waited[name] - before.waited[name]) / length) for name in both}


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)


def _processor(stat: Path) -> tuple[float, float, float]:
    """Seconds of all cores since boot: all, at work, stolen. Zeros where there is no such file."""
    try:
        first = stat.read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0, 0.0, 0.0
    user, nice, system, idle, waiting, irq, soft, steal = (int(n) / os.sysconf("SC_CLK_TCK") for n in first)
    busy = user + nice + system + irq + soft
    return busy + idle + waiting + steal, busy, steal


def _waited(file: Path) -> float | None:
    """Seconds in which at least one process waited, since boot: `some ... total=123456` counts microseconds."""
    try:
        some = file.read_text().split("\n", 1)[0]
    except OSError:
        return None
    return int(some.rpartition("=")[2]) / 1e6


def _runnable(loadavg: Path) -> float | None:
    """`0.5 0.4 0.3 3/412 9876`: three tasks run or want to, this one being one of them."""
    try:
        running = int(loadavg.read_text().split()[3].partition("/")[0])
    except OSError:
        return None
    return max(0, running - 1) / (os.cpu_count() or 1)


def _memory(meminfo: Path) -> float | None:
    """The share of memory that nobody can have any more."""
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    except OSError:
        return None
    total, free = (int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return _share(1 - free / total)
