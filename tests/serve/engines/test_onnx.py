from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from roadworthy.core.errors import BadData, Missing
from roadworthy.core.spec import Field, Signature
from roadworthy.serve.base import engine
from roadworthy.serve.engines.onnx import Onnx, Port, describe

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(int)
COLUMNS = {name: X[:, [k]] for k, name in enumerate(("wind", "rain", "hour"))}
NUMBERS = Signature({name: Field() for name in COLUMNS}, {"probability": Field()})
CARRIERS = RNG.choice(["AA", "UA", "DL"], size=(120, 1)).astype(object)


def save(model: Any, folder: Path, **options: Any) -> Path:
    file = folder / "model.onnx"
    file.write_bytes(to_onnx(model, options={"zipmap": False}, **options).SerializeToString())
    return file


@pytest.fixture(scope="module")
def boosted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    lab = HistGradientBoostingClassifier(max_iter=5).fit(X, Y)
    return lab, save(lab, tmp_path_factory.mktemp("boosted"), X=X[:1])


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A pipeline of numbers and text, exported with one graph input a column."""
    steps = [("n", StandardScaler(), [0, 1]), ("c", OneHotEncoder(handle_unknown="ignore"), [2])]
    rows = np.concatenate([X[:, :2].astype(object), CARRIERS], axis=1)
    lab = make_pipeline(ColumnTransformer(steps), LogisticRegression()).fit(rows, Y)
    kinds = [FloatTensorType([None, 1]), FloatTensorType([None, 1]), StringTensorType([None, 1])]
    types = list(zip(("wind", "rain", "carrier"), kinds, strict=True))
    return lab, save(lab, tmp_path_factory.mktemp("mixed"), initial_types=types)


def test_one_matrix_of_all_columns_gives_the_labs_probability(boosted: tuple[Any, Path]) -> None:
    lab, file = boosted
    got = Onnx(file)(COLUMNS)
    assert list(got) == ["probability"]
    np.testing.assert_allclose(got["probability"], lab.predict_proba(X)[:, 1], atol=1e-6)


def test_a_null_number_reaches_the_model_as_nan(boosted: tuple[Any, Path]) -> None:
    lab, file = boosted
    rows = X[:5].copy()
    rows[:, 0] = np.nan
    got = Onnx(file)({name: rows[:, [k]] for k, name in enumerate(COLUMNS)})
    np.testing.assert_allclose(got["probability"], lab.predict_proba(rows)[:, 1], atol=1e-6)


def test_an_input_a_column_with_text_gives_the_labs_probability(mixed: tuple[Any, Path]) -> None:
    lab, file = mixed
    carriers = CARRIERS[:4].copy()
    carriers[0, 0], carriers[1, 0] = None, "XX"
    got = Onnx(file)({"wind": X[:4, [0]], "rain": X[:4, [1]], "carrier": carriers})
    rows = np.concatenate([X[:4, :2].astype(object), [["XX"], ["XX"], *CARRIERS[2:4].tolist()]], axis=1)
    np.testing.assert_allclose(got["probability"], lab.predict_proba(rows)[:, 1], atol=1e-5)


def test_describe_tells_the_inputs_of_the_graph(mixed: tuple[Any, Path], boosted: tuple[Any, Path]) -> None:
    assert describe(mixed[1]) == (
        Port("wind", "FP32", (None, 1)),
        Port("rain", "FP32", (None, 1)),
        Port("carrier", "BYTES", (None, 1)),
    )
    assert describe(boosted[1]) == (Port("X", "FP32", (None, 3)),)


def test_columns_of_another_name_are_mapped_by_inputs(mixed: tuple[Any, Path], boosted: tuple[Any, Path]) -> None:
    renamed = {"wind_mph": X[:3, [0]], "rain": X[:3, [1]], "carrier": CARRIERS[:3]}
    plain = Onnx(mixed[1])({"wind": X[:3, [0]], "rain": X[:3, [1]], "carrier": CARRIERS[:3]})
    got = Onnx(mixed[1], inputs={"wind": ("wind_mph",)})(renamed)
    np.testing.assert_array_equal(got["probability"], plain["probability"])
    picked = Onnx(boosted[1], inputs={"X": ("wind", "rain", "hour")})({"id": X[:, [0]], **COLUMNS})
    np.testing.assert_array_equal(picked["probability"], Onnx(boosted[1])(COLUMNS)["probability"])


def test_a_regression_passes_through_and_output_renames_it(tmp_path: Path) -> None:
    lab = Ridge().fit(X, X[:, 0] * 2)
    file = tmp_path / "model.onnx"
    file.write_bytes(to_onnx(lab, X[:1]).SerializeToString())
    (name,) = Onnx(file)(COLUMNS)
    assert name == "variable"
    np.testing.assert_allclose(Onnx(file, output="delay")(COLUMNS)["delay"], lab.predict(X), atol=1e-5)


def test_three_classes_answer_all_probabilities(tmp_path: Path) -> None:
    file = save(LogisticRegression().fit(X, np.arange(120) % 3), tmp_path, X=X[:1])
    assert Onnx(file)(COLUMNS)["probabilities"].shape == (120, 3)


def test_a_zipmap_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(to_onnx(LogisticRegression().fit(X, Y), X[:1]).SerializeToString())
    with pytest.raises(BadData, match="export it without zipmap"):
        Onnx(file)(COLUMNS)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07" * 50])
def test_a_file_that_is_not_onnx_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.onnx"
    file.write_bytes(content)
    with pytest.raises(BadData, match=r"broken\.onnx' is not an ONNX model"):
        Onnx(file)(COLUMNS)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"no model file '.*none\.onnx'"):
        describe(tmp_path / "none.onnx")


def test_check_accepts_what_the_model_takes(mixed: tuple[Any, Path], boosted: tuple[Any, Path]) -> None:
    Onnx(boosted[1]).check(NUMBERS)
    fields = {"wind": Field(), "rain": Field("integer"), "carrier": Field("category"), "unused": Field()}
    Onnx(mixed[1]).check(Signature(fields, {}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"wnd": Field(), "rain": Field(), "carrier": Field("category")}, "wants an input 'wind'; did you mean 'wnd'"),
        ({"wind": Field(), "rain": Field(), "carrier": Field()}, "wants BYTES for input 'carrier' .* promises FP32"),
        ({"wind": Field(), "rain": Field(width=2), "carrier": Field("text")}, "wants 1 values a row in 'rain' .* 2"),
    ],
)
def test_check_names_the_first_mismatch(mixed: tuple[Any, Path], fields: dict[str, Field], said: str) -> None:
    with pytest.raises(BadData, match=said):
        Onnx(mixed[1]).check(Signature(fields, {}))


def test_check_counts_the_columns_of_a_matrix(boosted: tuple[Any, Path]) -> None:
    two = Signature({"wind": Field(), "rain": Field()}, {})
    with pytest.raises(BadData, match=r"wants 3 values a row in 'X' and the project promises 2 \(wind, rain\)"):
        Onnx(boosted[1]).check(two)


def test_a_plan_makes_it(boosted: tuple[Any, Path]) -> None:
    assert engine.make("onnx:threads=2", file=boosted[1]) == Onnx(boosted[1], threads=2)


def test_describe_as_a_signature_names_inputs_and_answers(mixed: tuple[Any, Path], boosted: tuple[Any, Path]) -> None:
    assert Onnx.describe(boosted[1]) == Signature({"X": Field(width=3)}, {"probability": Field()})
    assert list(Onnx.describe(mixed[1]).inputs.values()) == [Field(), Field(), Field("text")]


def test_a_graph_that_takes_one_row_at_a_time_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = save(LogisticRegression().fit(X, Y), tmp_path, initial_types=[("X", FloatTensorType([1, 3]))])
    with pytest.raises(BadData, match="takes exactly 1 rows at a time in 'X': export it with a dynamic first"):
        Onnx(file).check(NUMBERS)
