"""`roadworthy new` writes a project file that the other commands read."""

from __future__ import annotations

import polars as pl
import pytest

from roadworthy.core.project import read_project


@pytest.fixture
def words(clinic):
    """A call of `new` on the clinic's model and a table with just its inputs and the outcome."""
    table = clinic / "data" / "small.parquet"
    columns = ["id", "at", "malignant", "radius", "texture", "smoothness"]
    pl.read_parquet(clinic / "data" / "lab.parquet", columns=columns).write_parquet(table)
    file = clinic / "roadworthy.yaml"
    file.unlink()
    options = ("--label", "malignant", "--id", "id", "--at", "at", "--name", "trial", "--out", file)
    return ("new", clinic / "model" / "clinic.onnx", table, *options)


def test_the_file_is_read_back_and_the_model_serves_from_it(call, words, clinic):
    told = call(*words, "--json")
    assert told.code == 0, told.err
    assert told.body == {"path": str(clinic / "roadworthy.yaml"), "inputs": ["radius", "texture", "smoothness"]}
    assert read_project(clinic).application.name == "trial"
    assert call("release", "--project", clinic).code == 0


def test_it_says_what_to_do_next(call, words):
    assert "roadworthy gap" in call(*words).out


def test_a_file_that_is_there_is_overwritten_only_with_force(call, words, clinic):
    (clinic / "roadworthy.yaml").write_text("mine")
    told = call(*words)
    assert (told.code, "--force" in told.err) == (2, True)
    assert (clinic / "roadworthy.yaml").read_text() == "mine"
    assert call(*words, "--force").code == 0


def test_a_wrong_label_gets_the_nearest_column(call, words):
    told = call(*["malignnt" if word == "malignant" else word for word in words])
    assert (told.code, "did you mean 'malignant'?" in told.err) == (2, True)


@pytest.mark.parametrize("left", [0, 3000])
def test_an_empty_or_truncated_table_is_refused_by_its_name(call, words, left):
    whole = words[2].read_bytes()
    words[2].write_bytes(whole[:left])
    told = call(*words)
    assert (told.code, "small.parquet' is empty or damaged" in told.err) == (2, True)


def test_a_model_that_is_no_model_is_refused_by_its_name(call, words):
    words[1].write_bytes(b"not a graph")
    told = call(*words)
    assert (told.code, "clinic.onnx' is not an ONNX model" in told.err) == (2, True)
