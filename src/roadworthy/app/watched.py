"""What the tending loop measured last of log, traces, alerts, drift and quality, as gauges and counters for Prometheus.

Whoever measures puts it here; a scrape looks nothing up, so that it holds up no request.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from roadworthy.core.measure import Measurement

log = logging.getLogger(__name__)

# The file in a state directory by which the process that watches tells the one that is scraped.
WATCHED = "watched.json"
# Prometheus keeps every combination of labels for years.
MOST_SERIES = 200


@dataclass(frozen=True)
class Family:
    """A measurement's name for Prometheus: a count that only grows, or a gauge with the bounds of its interval."""

    meaning: str
    kind: Literal["gauge", "counter"] = "gauge"
    bounds: bool = False


# These are there from the start, empty: a dashboard may name them.
FAMILIES: Mapping[str, Family] = {
    "log_rows": Family("Records, by the part of the log that holds them."),
    "log_segments": Family("Sealed files of the record log, by state."),
    "log_dropped": Family("Records that a full disk kept out of the log.", "counter"),
    "ship_rows_behind": Family("Records and labels that have not been shipped yet."),
    "ship_seconds_behind": Family("How long the oldest of them has been waiting at most."),
    "traces_lag_rows": Family("Records that the trace exporter has not dealt with."),
    "spans_sent": Family("Spans that the collector took.", "counter"),
    "spans_refused": Family("Spans that the collector refused for good.", "counter"),
    "traces_left_out": Family("Failed or slow requests beyond the cap of traces.", "counter"),
    "traces_posts_failed": Family("Posts of spans that have to be repeated.", "counter"),
    "alerts_open": Family("Alarms that are on, by detector or rule."),
    "alerts_undelivered": Family("Alerts that somebody could not be told.", "counter"),
    "drift_effect": Family("How far a column moved from its reference, by statistic.", bounds=True),
    "quality": Family("Quality on the labels that are known, or an estimate without them.", bounds=True),
    "text_health": Family("Share of texts with a fault, by fault.", bounds=True),
}
_LABELS = ("of", "where")
_UNFIT = re.compile(r"[^a-zA-Z0-9_]+")


class Noted(Struct, frozen=True):
    """What one source measured at `at` (Unix seconds)."""

    at: float
    found: tuple[Measurement, ...]


class Watched:
    """The latest measurements by who took them; in `file` too, so that another process may do the measuring.

    A Measurement's `where` becomes a label; so does `conditions["of"]`, such as the statistic of a drift.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file, self._noted, self._seen = file, dict[str, Noted](), 0

    def put(self, source: str, found: Iterable[Measurement], at: float) -> None:
        """What `source` measured last; what it measured before is forgotten. Raises OSError where the file cannot."""
        self._noted = {**self._look(), source: Noted(at, tuple(found))}
        if self._file is not None:
            aside = self._file.with_suffix(f".{os.getpid()}.tmp")
            aside.write_bytes(msgspec.json.encode(self._noted))
            aside.replace(self._file)

    def metrics(self) -> Iterator[Metric]:
        """Every family, the known ones first; the largest values of one that has too many labels."""
        noted = self._look()
        by_name: dict[str, list[Measurement]] = {name: [] for name in FAMILIES}
        at = GaugeMetricFamily("roadworthy_watched_timestamp_seconds", "When this was measured last.", labels=("of",))
        for source, each in noted.items():
            at.add_metric((source,), each.at)
            for one in each.found:
                by_name.setdefault(one.name, []).append(one)
        yield at
        left_out = GaugeMetricFamily("roadworthy_series_left_out", "Series beyond the cap.", labels=("family",))
        for name, measured in by_name.items():
            known = [one for one in measured if one.n and math.isfinite(one.value)]
            kept = sorted(known, key=lambda one: -abs(one.value))[:MOST_SERIES]
            left_out.add_metric((name,), len(known) - len(kept))
            yield from _families(_UNFIT.sub("_", name), FAMILIES.get(name, Family(name)), kept)
        yield left_out

    def _look(self) -> dict[str, Noted]:
        """What is known, with what another process wrote since."""
        try:
            changed = self._file.stat().st_mtime_ns if self._file else 0
        except FileNotFoundError:
            return self._noted
        if self._file and changed != self._seen:
            try:
                self._noted = msgspec.json.decode(self._file.read_bytes(), type=dict[str, Noted])
            except msgspec.DecodeError:
                log.exception("`%s` is not what was written; the gauges stay as they were", self._file)
            self._seen = changed
        return self._noted


def _families(name: str, family: Family, found: list[Measurement]) -> Iterator[Metric]:
    made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    value = made(f"roadworthy_{name}", family.meaning, labels=_LABELS)
    parts = {"low": "Lower bound", "high": "Upper bound", "rows": "Rows behind"} if family.bounds else {}
    bounds = {
        part: GaugeMetricFamily(f"roadworthy_{name}_{part}", f"{what} of roadworthy_{name}.", labels=_LABELS)
        for part, what in parts.items()
    }
    for labels, one in {(str(one.conditions.get("of", "")), one.where): one for one in reversed(found)}.items():
        value.add_metric(labels, one.value)
        for part, gauge in bounds.items():
            bound = {"low": one.low, "high": one.high, "rows": one.n}[part]
            if math.isfinite(bound):
                gauge.add_metric(labels, bound)
    yield value
    yield from bounds.values()
