"""A data card says what its tables hold, and `mlcroissant` reads the same rows through it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from msgspec.structs import replace

from roadworthy.core.errors import BadData, Missing, SpecError
from roadworthy.core.project import read_project
from roadworthy.core.spec import Spec
from roadworthy.registry.exchange.croissant import check_data_card, write_data_card
from roadworthy.registry.exchange.table_facts import Column, digest_of, tables_of

# mlcroissant, and what it brings along, warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def spec(clinic: Path) -> Spec:
    return read_project(clinic / "roadworthy.yaml")


@pytest.fixture
def in_csv(spec: Spec) -> Spec:
    """The project with one table, a CSV with nulls, awkward names and whole numbers that are not always known."""
    frame = pl.read_parquet(spec.path(spec.data.lab)).head(40)
    frame = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise(pl.col("texture")).alias("texture"),
        pl.when(pl.int_range(pl.len()) == 5).then(None).otherwise(pl.int_range(pl.len())).alias("stay (days)"),
        (pl.col("malignant") == 1).alias("stay |days|"),
    )
    frame.write_csv(spec.path("data/lab.csv"))
    return replace(spec, data=replace(spec.data, lab="data/lab.csv", history="", production="data/lab.csv"))


def card_of(spec: Spec, **more: Any) -> dict[str, Any]:
    path = spec.root / "croissant.json"
    assert write_data_card(spec, path, **more)
    return json.loads(path.read_text(encoding="utf-8"))


def test_mlcroissant_reads_the_rows_of_the_file_through_the_card(in_csv):
    import mlcroissant

    card_of(in_csv)
    data = mlcroissant.Dataset(jsonld=str(in_csv.root / "croissant.json"))
    assert data.metadata.ctx.issues.errors == set()
    read = list(data.records("lab"))
    names = {"stay (days)": "stay_days_", "stay |days|": "stay_days__2"}
    rows = pl.read_csv(in_csv.path("data/lab.csv")).to_dicts()
    assert len(read) == len(rows) == 40
    for found, row in zip(read, rows, strict=True):
        for name, value in row.items():
            given = found[f"lab/{names.get(name, name)}"]
            given = given.decode() if isinstance(given, bytes) else None if given != given else given
            assert given == (pytest.approx(value) if isinstance(value, float) else value), name
    assert [one["splits/name"] for one in data.records("splits")] == ["lab", "production"]


def test_each_table_of_the_project_is_a_file_and_a_record_set(spec):
    card = card_of(spec, licence="https://creativecommons.org/publicdomain/zero/1.0/", citation="@misc{wisconsin}")
    files = {one["contentUrl"]: one for one in card["distribution"]}
    assert list(files) == ["data/lab.parquet", "data/history.parquet", "data/production.parquet"]
    for url, one in files.items():
        assert one["sha256"] == digest_of(spec.root / url)
        assert one["contentSize"] == f"{(spec.root / url).stat().st_size} B"
    assert [one["@id"] for one in card["recordSet"]] == ["splits", "lab", "history", "production"]
    assert "1,000 rows" in card["recordSet"][2]["description"]
    assert card["recordSet"][1]["key"] == {"@id": "lab/id"}
    assert (card["license"], card["citeAs"]) == (
        "https://creativecommons.org/publicdomain/zero/1.0/",
        "@misc{wisconsin}",
    )
    assert card["rai:dataCollectionTimeFrame"][0].startswith("2023-11-14T22:13:20")


def test_a_column_says_what_the_project_and_the_counts_say(in_csv):
    fields = {one["name"]: one for one in card_of(in_csv)["recordSet"][1]["field"]}
    frame = pl.read_csv(in_csv.path("data/lab.csv"))
    low, high = frame["radius"].min(), frame["radius"].max()
    assert fields["radius"]["description"] == f"mean radius; unit mm; from {low:.6g} to {high:.6g}; no nulls"
    assert "1 of 40 rows are null (2.50%)" in fields["texture"]["description"]
    assert fields["malignant"]["description"].startswith(
        "the label, what became of it (asked: is the sample malignant)"
    )
    assert fields["ward"]["description"] == "a tag to cut the results by; no nulls"
    assert {name: one["dataType"] for name, one in fields.items() if name in ("id", "malignant", "stay (days)")} == {
        "id": "sc:Text",
        "malignant": "sc:Integer",
        "stay (days)": "sc:Float",
    }
    assert "texture 2.50%" in card_of(in_csv)["rai:dataCollectionMissingData"]


def test_what_nobody_said_is_left_out(spec):
    card = card_of(spec)
    assert {"license", "citeAs", "url", "creator", "datePublished"}.isdisjoint(card)
    assert [name for name in card if name.startswith("rai:")] == [
        "rai:dataCollectionTimeFrame",
        "rai:dataCollectionMissingData",
    ]
    noted = card_of(spec, notes={"dataBiases": "one hospital"})
    assert noted["rai:dataBiases"] == "one hospital"


def test_numbers_in_lists_times_and_nan_are_counted(spec, tmp_path):
    from datetime import UTC, date, datetime

    frame = pl.DataFrame(
        {
            "at": [datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)],
            "day": [date(2024, 1, 1), None],
            "pixels": [[0.0, 1.0], [2.0, 3.0]],
            "depth": [float("nan"), 2.0],
            "empty": pl.Series([None, None], dtype=pl.Float64),
        }
    )
    frame.write_parquet(spec.path("data/odd.parquet"))
    odd = replace(spec, data=replace(spec.data, lab="data/odd.parquet", history="", production=""))
    (table,) = tables_of(odd)
    assert table.columns[0] == Column(
        "at", "time", 2, 0, "when it happened", low="2024-01-01 00:00:00+00:00", high="2024-01-02 00:00:00+00:00"
    )
    assert [(c.type, c.nulls, c.low) for c in table.columns[1:]] == [
        ("date", 1, "2024-01-01"),
        ("numbers", 0, ""),
        ("number", 1, "2"),
        ("number", 2, ""),
    ]
    assert (table.since, table.until) == ("2024-01-01T00:00:00+00:00", "2024-01-02T00:00:00+00:00")
    fields = {one["name"]: one for one in card_of(odd)["recordSet"][1]["field"]}
    assert (fields["pixels"]["repeated"], fields["at"]["dataType"]) == (True, "sc:DateTime")


def test_a_card_of_a_file_that_changed_says_so(spec):
    path = spec.root / "croissant.json"
    card_of(spec)
    assert check_data_card(path) == ()
    spec.path(spec.data.history).unlink()
    with spec.path(spec.data.lab).open("ab") as lab:
        lab.write(b"\0")
    faults = check_data_card(path)
    assert [fault.rpartition("/")[2].split("'")[0] for fault in faults] == ["lab.parquet", "history.parquet"]
    assert "has changed: its SHA-256 is" in faults[0]
    assert faults[1].endswith("is gone")


@pytest.mark.parametrize("text", ["{", "[]", '{"distribution": [{}]}', '{"distribution": []}'])
def test_a_broken_card_is_refused(text, tmp_path):
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(BadData, match=r"no Croissant card|mlcroissant can read"):
        check_data_card(tmp_path / "card.json")


def test_a_card_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadData, match="no data card"):
        check_data_card(tmp_path / "card.json")


def test_faults_of_tables_are_named_and_no_card_is_left(spec):
    path = spec.root / "croissant.json"
    with pytest.raises(SpecError, match="no note 'dataBias'; did you mean 'dataBiases'"):
        write_data_card(spec, path, notes={"dataBias": "x"})
    (spec.root / "taken").mkdir()
    with pytest.raises(BadData, match="cannot write the card"):
        write_data_card(spec, spec.root / "taken")
    assert list(spec.root.glob(".taken*")) == []
    spec.path(spec.data.lab).write_bytes(b"PAR1 and no more")
    with pytest.raises(BadData, match=r"lab.parquet' cannot be read as a table"):
        write_data_card(spec, path)
    spec.path(spec.data.lab).unlink()
    with pytest.raises(Missing, match=r"no table \S+lab.parquet'"):
        write_data_card(spec, path)
    assert [file.name for file in spec.root.iterdir() if "croissant" in file.name] == []


def test_the_log_of_others_is_as_it_was(spec):
    before = logging.getLogger("absl").level
    card_of(spec)
    assert logging.getLogger("absl").level == before
