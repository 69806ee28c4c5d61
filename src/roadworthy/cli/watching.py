"""Watching draws what a deployment does now: traffic, percentiles by stage, failures, drift and open alerts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.core.sketch import Sketch
from roadworthy.core.stats import proportion
from roadworthy.observe.alerts import Alert, open_alerts
from roadworthy.observe.counts.counting import Known, count
from roadworthy.observe.counts.tally import HOUR, MINUTE, Cell, Tally, merged

if TYPE_CHECKING:
    from roadworthy.store.state import State

# Stages in the order in which a request meets them; others follow by name.
STAGES = ("total", "queue", "model")
SHARES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
MOST_STAGES, MOST_ALERTS = 8, 8
BARS = "▁▂▃▄▅▆▇█"


class Arm(Struct, frozen=True):
    """What one release did on one arm: requests a second, the share that failed, percentiles by stage in seconds."""

    release: str
    arm: str
    requests: int
    rate: float
    failed: Measurement
    stages: Mapping[str, tuple[Measurement, ...]]


class Frame(Struct, frozen=True):
    """What there is to see at `at`: of the last `minutes`, and minute by minute of the hour before.

    A minute without a request has no `p99` (NaN is None in JSON).
    """

    deployment: str
    at: float
    minutes: float
    arms: tuple[Arm, ...]
    requests: tuple[int, ...]
    p99: tuple[float | None, ...]
    alerts: tuple[Alert, ...]


class Watch:
    """Follows the record log, and holds what was counted in each of the last `minutes`."""

    def __init__(self, state: State, deployment: str, now: float, minutes: int = 60) -> None:
        self.state, self.deployment, self.minutes = state, deployment, max(minutes, HOUR // MINUTE)
        self._tallies: dict[Cell, Tally] = {}
        self._position = state.records.position()
        first = state.records.read(since=now - self.minutes * MINUTE, until=now)
        self._add(first)
        # What came in between the two lines above will be read again.
        self._seen = {(record.id, record.arm) for record in first}

    def look(self, now: float, recent_minutes: float = 5.0) -> Frame:
        """Count what came since the last look, and say what there is to see."""
        until = self.state.records.position()
        if until > self._position:
            new = self.state.records.read(after=self._position)
            self._add([record for record in new if (record.id, record.arm) not in self._seen])
            self._position, self._seen = until, set()
        oldest = int(now // MINUTE) - self.minutes
        self._tallies = {cell: tally for cell, tally in self._tallies.items() if cell.minute > oldest}
        return self._frame(now, recent_minutes)

    def _add(self, records: Sequence[Record]) -> None:
        for cell, tally in count(records, Known({}, 0)).items():
            if not cell.tag:
                self._tallies[cell] = self._tallies.get(cell, Tally.zero()).merge(tally)

    def _frame(self, now: float, minutes: float) -> Frame:
        first = (now - minutes * MINUTE) // MINUTE
        recent = [(cell, tally) for cell, tally in self._tallies.items() if cell.minute >= first]
        arms = sorted({(cell.release, cell.arm) for cell, _ in recent}, key=lambda arm: (arm[1], arm[0]))
        seconds = max(1.0, now - first * MINUTE)
        series = [self._minute(int(now // MINUTE) - back) for back in range(HOUR // MINUTE - 1, -1, -1)]
        alerts = sorted(open_alerts(self.state.engine, self.deployment).values(), key=lambda alert: alert.first_at)
        return Frame(
            self.deployment,
            now,
            minutes,
            tuple(_arm(arm, [tally for cell, tally in recent if cell[1:3] == arm], seconds) for arm in arms),
            tuple(tally.counts.get("requests", 0) for tally in series),
            tuple(_p99(tally) for tally in series),
            tuple(alerts),
        )

    def _minute(self, minute: int) -> Tally:
        """All that answered somebody in that minute."""
        return merged(t for cell, t in self._tallies.items() if cell.minute == minute and cell.arm != "shadow")


def _arm(arm: tuple[str, str], tallies: Sequence[Tally], seconds: float) -> Arm:
    total = merged(tallies)
    requests, failed = total.counts.get("requests", 0), total.counts.get("failed", 0)
    names = [*(s for s in STAGES if s in total.seconds), *sorted(set(total.seconds).difference(STAGES))]
    stages = {
        name: tuple(Sketch.from_bytes(total.seconds[name]).percentiles(SHARES, where=name))
        for name in names[:MOST_STAGES]
    }
    return Arm(*arm, requests, requests / seconds, proportion("failed", failed, requests), stages)


def _p99(tally: Tally) -> float | None:
    body = tally.seconds.get("total")
    return None if body is None else Sketch.from_bytes(body).quantile(0.99).value


def drawn(frame: Frame) -> RenderableType:
    """The frame as a screen."""
    return Group(_head(frame), _latencies(frame), _alarms(frame.alerts))


def _head(frame: Frame) -> RenderableType:
    at = f"{datetime.fromtimestamp(frame.at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    slowest = max((p for p in frame.p99 if p is not None), default=math.nan)
    lines = Text()
    lines.append(f"{frame.deployment}", style="bold")
    lines.append(f"  {at}\n")
    lines.append(f"requests  {sparkline(frame.requests)}  {frame.requests[-1]} in this minute\n")
    top = "no answer in the last hour" if math.isnan(slowest) else f"at most {1000 * slowest:.3g} ms"
    lines.append(f"p99       {sparkline(frame.p99)}  {top}")
    return lines


def _latencies(frame: Frame) -> RenderableType:
    if not frame.arms:
        return Text(f"no request in the last {frame.minutes:g} minutes", style="dim")
    table = Table(box=None, header_style="bold", title=f"the last {frame.minutes:g} minutes", title_justify="left")
    for name in ("arm", "release", "per s", "failed", "stage", *(f"{share} ms" for share in SHARES)):
        right = name not in ("arm", "release", "stage")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for arm in frame.arms:
        for number, (stage, found) in enumerate(arm.stages.items() or [("", ())]):
            lead = ("", "", "", "") if number else (arm.arm, arm.release[:8], f"{arm.rate:.3g}", _share(arm.failed))
            table.add_row(*lead, stage, *(_bounded(one) for one in found))
    return table


def _alarms(alerts: Sequence[Alert]) -> RenderableType:
    if not alerts:
        return Panel(Text("no alert is open"), title="alerts", title_align="left", border_style="green")
    lines = [f"{alert.detector} since {_time(alert.first_at)}: {alert.because}" for alert in alerts[:MOST_ALERTS]]
    more = len(alerts) - MOST_ALERTS
    lines += [f"and {more} more: roadworthy alerts"] if more > 0 else []
    return Panel(
        Text("\n".join(lines), no_wrap=False, overflow="fold"),
        title=f"{len(alerts)} open",
        title_align="left",
        border_style="red",
    )


def sparkline(values: Sequence[float | None]) -> str:
    """One block a value, the largest being full; nothing for what is not known.

    >>> sparkline([0, 1, None, 4])
    '▁▃ █'
    """
    top = max((value for value in values if value is not None), default=0.0)
    return "".join(" " if v is None else BARS[round(v / top * (len(BARS) - 1))] if top else BARS[0] for v in values)


def _bounded(found: Measurement) -> str:
    """A percentile; with a sign where so few values do not bound it from above."""
    return f"{1000 * found.value:.3g}{'' if math.isfinite(found.high) else '?'}"


def _share(failed: Measurement) -> str:
    return f"{failed.value:.2%}" if failed.n else ""


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%-d %b %H:%M}"
