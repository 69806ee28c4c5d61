"""Saturation: what was full, busy or waiting in a window, against before, on the host and in the rows themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean
from roadworthy.observe.root_cause.dimensions import batch_rows
from roadworthy.observe.root_cause.host import HostSample
from roadworthy.observe.root_cause.metric_rows import CONFIDENCE, Floats, column

if TYPE_CHECKING:
    import polars as pl

# Work of others, stolen time and waiting: what a server cannot help. A rise by this share of the machine is a lot.
FOREIGN = {"others": 0.4, "runnable": 1.5, "steal": 0.1, "pressure.memory": 0.15, "pressure.io": 0.3}
# Samples a second apart say nearly the same: so many of them count as one.
SAMPLES_ALIKE = 2.0
# The mean length of so many texts is sure enough.
MOST_TEXTS = 100_000


class Reading(Struct, frozen=True, omit_defaults=True):
    """One thing that can be full, now and before; `moved` where that is beyond chance."""

    name: str
    now: Measurement
    before: Measurement
    moved: bool = False

    @property
    def rise(self) -> float:
        """How much more of it there is now."""
        return self.now.value - self.before.value


def saturation(
    now: pl.DataFrame,
    before: pl.DataFrame,
    host_now: Sequence[HostSample],
    host_before: Sequence[HostSample],
    seconds: tuple[float, float],
) -> list[Reading]:
    """Every reading that both stretches have, those that moved first. `seconds` are the lengths of the stretches."""
    pairs = [*_of_host(host_now, host_before), *_of_rows(now, before), _rate(now, before, seconds)]
    read = [_reading(name, a, b) for name, a, b in pairs if a.n and b.n]
    return sorted(read, key=lambda reading: not reading.moved)


def host_evidence(readings: Iterable[Reading]) -> tuple[float, str]:
    """From 0 to 1, how much more the machine was taken up by others; and the reading that says so most."""
    told = [(r.rise / FOREIGN[r.name], r) for r in readings if r.name in FOREIGN and r.moved]
    if not told:
        return 0.0, ""
    most, reading = max(told, key=lambda each: each[0])
    words = {"others": "other processes took", "steal": "the hypervisor took", "pressure.memory": "waiting for memory"}
    name = words.get(reading.name, "waiting for the disk")
    said = f"{name} {reading.now.value:.0%} against {reading.before.value:.0%}"
    if reading.name == "runnable":
        said = f"{reading.now.value:.1f} tasks wanted each core, against {reading.before.value:.1f}"
    return float(np.clip(most, 0.0, 1.0)), said


def _reading(name: str, now: Measurement, before: Measurement) -> Reading:
    apart = abs(now.value - before.value) > math.hypot(now.high - now.value, before.high - before.value)
    large = abs(now.value - before.value) > 0.1 * max(abs(before.value), 0.1 if before.unit == "1" else 0.0)
    return Reading(name, now, before, apart and large)


def _of_host(now: Sequence[HostSample], before: Sequence[HostSample]) -> Iterator[tuple[str, Measurement, Measurement]]:
    a, b = _columns(now), _columns(before)
    for name in a:
        if name in b:
            unit = "bytes" if name.endswith("bytes") else "rows" if name.endswith("rows") else "1"
            yield name, _mean(name, a[name], unit, SAMPLES_ALIKE), _mean(name, b[name], unit, SAMPLES_ALIKE)


def _columns(samples: Iterable[HostSample]) -> Mapping[str, list[float]]:
    found: dict[str, list[float]] = {}
    for sample in samples:
        for name, value in sample.readings.items():
            found.setdefault(name, []).append(value)
    return found


def _of_rows(now: pl.DataFrame, before: pl.DataFrame) -> Iterator[tuple[str, Measurement, Measurement]]:
    yield from (_both("tokens", now, before, "tokens", "1"), _both("queue_ms", now, before, "seconds.queue", "ms"))
    if "seconds.model" in now.columns and "seconds.model" in before.columns:
        hits = [np.isnan(column(f, "seconds.model")).astype(np.float64) for f in (now, before)]
        yield "cache_hit_share", _mean("cache_hit_share", hits[0]), _mean("cache_hit_share", hits[1])
        sizes = [batch_rows(f) for f in (now, before)]
        yield "batch_rows", _mean("batch_rows", sizes[0], "rows"), _mean("batch_rows", sizes[1], "rows")
    for name in [c for c in now.columns if c.startswith("inputs.") and c in before.columns]:
        if str(now[name].dtype) == "String" == str(before[name].dtype):
            letters = [
                f[name].head(MOST_TEXTS).str.len_chars().fill_null(0).to_numpy().astype(np.float64)
                for f in (now, before)
            ]
            said = f"{name.removeprefix('inputs.')}_length"
            yield said, _mean(said, letters[0], "characters"), _mean(said, letters[1], "characters")


def _both(
    said: str, now: pl.DataFrame, before: pl.DataFrame, name: str, unit: str
) -> tuple[str, Measurement, Measurement]:
    times = 1000.0 if unit == "ms" else 1.0
    a, b = (column(f, name) * times for f in (now, before))
    return said, _mean(said, a, unit), _mean(said, b, unit)


def _mean(name: str, values: Floats | Sequence[float], unit: str = "1", alike: float = 1.0) -> Measurement:
    found = np.asarray(values, np.float64)
    found = found[np.isfinite(found)]
    m = mean(name, found, unit=unit, confidence=CONFIDENCE)
    half = (m.high - m.value) * math.sqrt(alike)
    return m if alike == 1.0 or not m.n else Measurement(name, m.value, m.n, m.value - half, m.value + half, unit)


def _rate(
    now: pl.DataFrame, before: pl.DataFrame, seconds: tuple[float, float]
) -> tuple[str, Measurement, Measurement]:
    """Rows a second; requests come in bursts, so that the interval is that of a quarter as many."""
    told = []
    for frame, length in zip((now, before), seconds, strict=True):
        n, half = frame.height, 2.576 * 2 * math.sqrt(max(1, frame.height))
        low, high = max(0.0, n - half) / length, (n + half) / length
        told.append(Measurement("rows_per_second", n / length, n, low, high, "rps"))
    return "rows_per_second", told[0], told[1]
