from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.spec import Field, Signature
from roadworthy.serve.base import engine
from roadworthy.serve.engines.function import Function
from roadworthy.serve.formats.folder import pack
from roadworthy.serve.streamed import streams

CODE = """
import numpy as np


def doubled(columns):
    return columns["x"][:, 0] * 2


def several(columns):
    return {"sum": columns["x"].sum(axis=1), "all": columns["x"]}


def row(row):
    return {"late": row["x"] > 1, "word": f"{row['word']}!", "pair": [row["x"], 0.0]}


def uneven(row):
    return {"a": 1} if row["x"] > 1 else {"b": 1}


def load(file):
    return float((file / "factor").read_text() if file.is_dir() else file.read_text())


def scaled(factor, columns):
    return columns["x"][:, 0] * factor


def spoken(columns):
    for k in range(int(columns["x"][0, 0])):
        yield f"w{k}"


def counted(factor, row):
    for k in range(int(row["x"])):
        yield {"n": k * factor, "pair": [k, k]}


def nothing(columns):
    return None


not_a_function = 3
"""

COLUMNS = {"x": np.array([[1.0], [2.0], [np.nan]], np.float32), "word": np.array([["a"], [None], ["c"]], dtype=object)}
NONE = {name: values[:0] for name, values in COLUMNS.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "code.py").write_text(CODE)
    return tmp_path


def test_a_function_of_columns_answers_an_array_or_a_mapping(folder: Path) -> None:
    got = Function("code.py:doubled", folder=folder, output="delay")(COLUMNS)
    np.testing.assert_array_equal(got["delay"], [2, 4, np.nan])
    several = Function("code.py:several", folder=folder)(COLUMNS)
    assert {name: values.shape for name, values in several.items()} == {"sum": (3,), "all": (3, 1)}


def test_a_function_of_rows_gets_plain_values(folder: Path) -> None:
    made = Function("code.py:row", rows=True, folder=folder)
    got = made(COLUMNS)
    assert got["late"].tolist() == [False, True, False]
    assert got["word"].tolist() == ["a!", "None!", "c!"]
    assert got["pair"].shape == (3, 2)
    assert {name: len(values) for name, values in made(NONE).items()} == {"late": 0, "word": 0, "pair": 0}


def test_no_rows_before_any_row_are_answered_by_the_names_of_the_signature(folder: Path) -> None:
    made = Function("code.py:row", rows=True, folder=folder)
    assert list(made(NONE)) == ["value"]
    made.check(Signature({"x": Field()}, {"late": Field("boolean")}))
    assert list(made(NONE)) == ["late"]


@pytest.mark.parametrize("kept", ["file", "folder", "packed"])
def test_load_is_called_once_with_the_file_or_the_folder(kept: str, folder: Path) -> None:
    model = folder / "model"
    if kept == "file":
        model.write_text("3.0")
    else:
        model.mkdir()
        (model / "factor").write_text("3.0")
    file = pack(model, folder / "model.zip") if kept == "packed" else model
    made = Function("code.py:scaled", file, load="code.py:load", folder=folder)
    np.testing.assert_array_equal(made(COLUMNS)["value"], [3, 6, np.nan])
    if kept == "file":
        model.unlink()
    np.testing.assert_array_equal(made(COLUMNS)["value"], [3, 6, np.nan])


def test_a_generator_function_streams_its_pieces(folder: Path) -> None:
    made = Function("code.py:spoken", folder=folder, output="word")
    assert streams(made)
    pieces = [piece["word"].tolist() for piece in made.stream({"x": np.array([[3.0]])})]
    assert pieces == [["w0"], ["w1"], ["w2"]]
    with pytest.raises(BadData, match="is a generator function: it answers in a stream"):
        made(COLUMNS)
    assert not streams(Function("code.py:doubled", folder=folder))


def test_a_generator_of_a_row_and_a_loaded_model_streams_mappings(folder: Path) -> None:
    (folder / "model").write_text("10")
    made = Function("code.py:counted", folder / "model", "code.py:load", rows=True, folder=folder)
    pieces = list(made.stream({"x": np.array([[2.0]])}))
    assert [piece["n"].tolist() for piece in pieces] == [[0], [10]]
    assert pieces[1]["pair"].tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"code": "code.py:nothing"}, "answered None; it must return an array"),
        ({"code": "code.py:uneven", "rows": True}, "answered 'b' for the first row and not for another"),
        ({"code": "code.py:not_a_function"}, "is not a function, but 3"),
        ({"code": "code.py:doubld"}, "did you mean 'doubled'"),
        ({"code": "gone.py:doubled"}, r"no file '.*gone\.py' to load code from"),
    ],
)
def test_what_is_wrong_with_the_code_is_told(settings: dict[str, Any], said: str, folder: Path) -> None:
    with pytest.raises((BadData, SpecError), match=said):
        Function(folder=folder, **settings)(COLUMNS)


def test_check_sees_that_the_function_takes_what_it_will_get(folder: Path) -> None:
    signature = Signature({"x": Field()}, {"value": Field()})
    Function("code.py:doubled", folder=folder).check(signature)
    with pytest.raises(SpecError, match=r"`code\.py:scaled` cannot be called as \(columns\): missing"):
        Function("code.py:scaled", folder=folder).check(signature)


def test_a_plan_makes_it(folder: Path) -> None:
    made = engine.make({"function": {"code": "code.py:doubled"}}, file=folder / "f", folder=folder, output="y")
    assert made == Function("code.py:doubled", folder / "f", output="y", folder=folder)
