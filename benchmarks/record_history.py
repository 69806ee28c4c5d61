"""Ten million records, built of recorded flights, and how long it takes to find one of them and to sum up an hour.

They are written straight as segments, with the store's own segment writer: through the log it would take half an hour.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import polars as pl

from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Log
from roadworthy.store import segments
from roadworthy.store.columns import base_schema
from roadworthy.store.records import RecordLog
from roadworthy.store.sealing import seal

ROWS = 10_000_000
ROWS_A_SEGMENT = 250_000
DAYS = 30
BEGIN = 1_700_000_000.0
RELEASES = ("5b" * 32, "7c" * 32)
NOT_INPUTS = ("id", "at", "known_at", "weather_known_at", "late")
# An hour and an id are asked for so often.
ASKED = 100


def history(data: Path, cache: Path, rows: int = ROWS) -> tuple[RecordLog, bool]:
    """The log with all of the records, and whether it was there already."""
    cache.mkdir(parents=True, exist_ok=True)
    log = RecordLog(cache / "records.db", "process")
    if log.count() == rows:
        return log, True
    if log.count():
        sys.exit(f"`{cache}` holds another history: remove it, or give another --cache")
    _build(log, _flights(data), rows)
    return log, False


def _flights(data: Path) -> pl.DataFrame:
    """All recorded flights in the order of time, as the inputs of a model."""
    together = pl.concat([pl.read_parquet(path) for path in sorted(data.glob("*.parquet"))], how="vertical_relaxed")
    flights = together.unique("id", keep="first").sort("at", "id")
    inputs = [
        pl.col(name).cast(pl.Float64 if type_.is_float() else pl.Int64 if type_.is_integer() else pl.String)
        for name, type_ in flights.schema.items()
        if name not in NOT_INPUTS
    ]
    return flights.select("id", *(expression.name.prefix("inputs.") for expression in inputs))


def _build(log: RecordLog, flights: pl.DataFrame, rows: int) -> None:
    """Repeat the flights, a month of traffic from first to last, in segments."""
    rng, folder = np.random.default_rng(0), log.sealed.segments.directory
    kinds = {name: _kind(type_) for name, type_ in flights.schema.items() if name != "id"}
    kinds |= {
        "outputs.probability": "float",
        "seconds.model": "float",
        "seconds.total": "float",
        "tags.carrier": "text",
    }
    names = tuple(name.split(".", 1)[1] for name in flights.columns[1:])
    shape = (names, ("probability",), ("model", "total"), ("carrier",))
    for first in range(0, rows, ROWS_A_SEGMENT):
        n = min(ROWS_A_SEGMENT, rows - first)
        frame = _stretch(flights, first, n, rows, rng)
        name = f"{first + 1:015d}.parquet"
        size, sha256 = segments.write_segment(folder, name, frame, [shape])
        made = segments.describe(frame, name, first + 1, first + n, kinds, (shape,))
        with log.connection() as connection:
            segments.add(connection, msgspec.structs.replace(made, bytes=size, sha256=sha256))
    with log.connection() as connection:  # so that the next row gets the next number
        connection.execute("INSERT INTO records VALUES (?, '', -1, 1.7e308, 0, x'')", (rows,))


def _stretch(flights: pl.DataFrame, first: int, n: int, rows: int, rng: np.random.Generator) -> pl.DataFrame:
    place = np.arange(first, first + n)
    model = rng.lognormal(-8, 0.5, n)
    taken = flights[place % flights.height]
    columns = {
        "seq": place + 1,
        "id": taken["id"] + "-" + pl.Series(place // flights.height).cast(pl.String),
        "at": BEGIN + place * (DAYS * 86400.0 / rows),
        "release": np.where(rng.random(n) < 0.9, *RELEASES),
        "arm": np.where(rng.random(n) < 0.95, "stable", "canary"),
        "confidence": rng.random(n),
        "shape": np.zeros(n, np.uint16),
    }
    base = pl.DataFrame(columns).select(
        *(
            (pl.col(name) if name in columns else pl.lit(None)).cast(type_).alias(name)
            for name, type_ in base_schema().items()
        )
    )
    extra = pl.DataFrame(
        {
            "outputs.probability": rng.random(n),
            "seconds.model": model,
            "seconds.total": model + rng.lognormal(-8, 1, n),
            "tags.carrier": taken["inputs.carrier"],
        }
    )
    return pl.concat([base, taken.drop("id"), extra], how="horizontal")


def _kind(type_: pl.DataType) -> str:
    return "float" if type_.is_float() else "int" if type_.is_integer() else "text"


def asked(log: RecordLog, cached: bool) -> list[Measurement]:
    """How long one id takes, and an hour's percentiles by release."""
    rng, rows = Random(0), log.count()
    known = [id for segment in log.segments() for id in _some_ids(log, segment, rng)]
    ids = rng.sample(known, ASKED)
    hours = [BEGIN + 3600 * rng.randrange(24 * DAYS) for _ in range(ASKED)]
    log.get(ids[0])

    def one(k: int) -> None:
        if [record.id for record in log.get(ids[k])] != [ids[k]]:
            sys.exit(f"{ids[k]!r} was not found")

    def hour(k: int) -> None:
        total = pl.col("seconds.total")
        quantiles = [total.quantile(q).alias(f"p{q}") for q in (0.5, 0.95, 0.99, 0.999)]
        found = log.scan(hours[k], hours[k] + 3600).group_by("release").agg(pl.len(), *quantiles).collect()
        if found.height != len(RELEASES):
            sys.exit(f"the hour from {hours[k]} has {found.height} releases")

    size = sum(segment.bytes for segment in log.segments())
    made = "written straight as segments"
    conditions = {"records": rows, "built": made, "cached": cached, "interval": "5 % to 95 % of the tries"}
    return [
        _timed("lookup_ms_10m", one, {**conditions, "ids": "in random order"}),
        _timed("hour_percentiles_ms_10m", hour, {**conditions, "rows_an_hour": rows // (24 * DAYS)}),
        Measurement("sealed_bytes_a_row", size / rows, rows, size / rows, size / rows, "B", conditions=conditions),
    ]


def _some_ids(log: RecordLog, segment: segments.Segment, rng: Random) -> list[str]:
    rows = rng.sample(range(segment.rows), min(10, segment.rows))
    ids: list[str] = log.sealed.segments.frame(segment).select(pl.col("id").gather(rows)).collect()["id"].to_list()
    return ids


def _timed(name: str, act: Callable[[int], None], conditions: dict[str, object]) -> Measurement:
    taken = []
    for k in range(ASKED):
        begun = time.perf_counter()
        act(k)
        taken.append(1e3 * (time.perf_counter() - begun))
    low, middle, high = np.percentile(taken, (5, 50, 95))
    return Measurement(name, float(middle), ASKED, float(low), float(high), "ms", conditions=conditions)


def sealed(log: RecordLog, rows: int) -> Measurement:
    """Processor time to move rows into segments, the sweep included."""
    begun = time.process_time()
    report = seal(log, Log(seal_rows=1, hot_minutes=0), now=1e12, pause=lambda _: None)
    spent = 1e6 * (time.process_time() - begun) / rows
    if report.rows != rows:
        sys.exit(f"{rows} rows were to be sealed and {report.rows} are")
    conditions = {"rows_a_segment": rows, "bytes_a_row": report.bytes / rows}
    return Measurement("seal_cpu_us", spent, rows, unit="us", conditions=conditions)
