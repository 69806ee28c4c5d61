"""An incident is a window of a deployment's log, with a baseline for it, what changed meanwhile, and the machine.

It chooses what to compare with and reads it; `why` does the comparing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from roadworthy.core.errors import BadData, MissingExtra
from roadworthy.observe.root_cause.change_log import changes
from roadworthy.observe.root_cause.host import host_samples
from roadworthy.observe.root_cause.why import Stretches, Why, why
from roadworthy.store.state import State

if TYPE_CHECKING:
    import polars as pl

DAY = 86_400.0
# Days on which the same hours are looked at: those of the last week, and the same weekday of three weeks before.
DAYS_BEFORE = (1, 2, 3, 4, 5, 6, 7, 14, 21, 28)
LEAST_ROWS, LEAST_DAYS = 200, 3
# The stretch before is three times as long as the window, and at least an hour.
TIMES, LEAST_SECONDS, MOST_SECONDS = 3.0, 3600.0, DAY
CHANGES_BEFORE_SECONDS = 3 * 3600.0
# Texts longer than this on average go into the analysis by their length alone.
PROSE_LETTERS = 40.0
# More of a baseline makes nothing surer that matters.
MOST_BASELINE_ROWS = 2_000_000

Scan = Callable[[float, float], "pl.LazyFrame"]


class Log(Protocol):
    """What an analysis needs of the record log."""

    def scan(self, since: float, until: float) -> pl.LazyFrame: ...


def investigate(
    state: State,
    deployment: str,
    since: float,
    until: float,
    metric: str = "p99",
    log: Log | None = None,
    output: str = "",
) -> Why:
    """Why the metric of a deployment got worse between two times (Unix seconds), from its state directory.

    `log` is where the records are (that of the state). Raises BadData where the window or every baseline is empty.
    """
    records: Log = state.records if log is None else log
    scan = records.scan
    now = collect(scan(since, until), metric)
    if not now.height:
        raise BadData(_nothing_between(scan, since, until))
    when = baseline(scan, since, until)
    parts = [collect(scan(a, b), metric, MOST_BASELINE_ROWS // len(when.periods)) for a, b in when.periods]
    told = changes(state, deployment, since - CHANGES_BEFORE_SECONDS, until)
    host = [s for a, b in (*when.periods, (since, until)) for s in host_samples(state, a, b)]
    return why(now, _joined(parts), when, metric, told, host, output)


def baseline(scan: Scan, since: float, until: float) -> Stretches:
    """The same hours of earlier days where at least three of them have rows, else the stretch before the window."""
    days = [d for d in DAYS_BEFORE if _rows(scan, since - d * DAY, until - d * DAY) >= LEAST_ROWS]
    if len(days) >= LEAST_DAYS and until - since < DAY:
        periods = tuple((since - d * DAY, until - d * DAY) for d in days)
        return Stretches(since, until, periods, f"the same time on {len(days)} earlier days")
    length = max(TIMES * (until - since), LEAST_SECONDS)
    while _rows(scan, since - length, since) < LEAST_ROWS and length < MOST_SECONDS:
        length *= 2
    if _rows(scan, since - length, since):
        return Stretches(since, until, ((since - length, since),), f"the {_long(length)} before")
    if days:
        periods = tuple((since - d * DAY, until - d * DAY) for d in days)
        return Stretches(since, until, periods, f"the same time {' and '.join(f'{d} days' for d in days)} before")
    nowhere = f"no records in the {_long(length)} before, nor at the same time on earlier days"
    raise BadData(f"there is nothing to compare with: {nowhere}")


def collect(lazy: pl.LazyFrame, metric: str, most: int = 0) -> pl.DataFrame:
    """The columns that are looked at, texts as their lengths; every k-th row where there are more than `most`."""
    import polars as pl

    schema = lazy.collect_schema()
    head = lazy.select([n for n, kind in schema.items() if kind == pl.String]).head(2000).collect()
    prose = set(_prose(head))
    chosen = [
        (pl.col(name).str.len_chars().cast(pl.Float64).alias(f"{name} length") if name in prose else pl.col(name))
        for name, kind in schema.items()
        if name in prose or _wanted(name, kind, metric)
    ]
    if most:
        every = max(1, lazy.select(pl.len()).collect().item() // most)
        lazy = lazy.gather_every(every)
    return lazy.select(chosen).collect()


def _wanted(name: str, kind: pl.DataType, metric: str) -> bool:
    """Vectors say nothing to group by, but a class is told by the largest of one."""
    import polars as pl

    vector = isinstance(kind, pl.List | pl.Array | pl.Object | pl.Struct | pl.Binary)
    return not vector or (metric == "accuracy" and name.startswith("outputs.") and not isinstance(kind, pl.Struct))


def _prose(head: pl.DataFrame) -> Iterator[str]:
    for name in head.columns:
        letters = head[name].str.len_chars().mean()
        long = isinstance(letters, int | float) and letters > PROSE_LETTERS
        if name.startswith(("inputs.", "outputs.")) and long and head[name].n_unique() > 60:
            yield name


def _joined(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    try:
        import polars as pl
    except ImportError as gone:
        raise MissingExtra("roadworthy why", "polars", "data") from gone
    return pl.concat([part for part in parts if part.height] or [parts[0]], how="diagonal_relaxed")


def _rows(scan: Scan, since: float, until: float) -> int:
    import polars as pl

    return int(scan(since, until).select(pl.len()).collect().item())


def _nothing_between(scan: Scan, since: float, until: float) -> str:
    """Says where the nearest rows are, if there are any within a day."""
    import polars as pl

    near = scan(since - DAY, until + DAY).select(pl.col("at")).collect()["at"].to_list()
    if not near:
        return f"there are no records between {_clock(since)} and {_clock(until)}, nor within a day of that"
    closest = min(near, key=lambda at: min(abs(at - since), abs(at - until)))
    return f"there are no records between {_clock(since)} and {_clock(until)}; the nearest is of {_clock(closest)}"


def _clock(at: float) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _long(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 1.5 * DAY else f"{seconds / DAY:.0f} days"
