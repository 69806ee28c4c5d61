from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import polars
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from roadworthy.core.errors import BadData, Missing
from roadworthy.core.spec import Field, Signature
from roadworthy.serve.engines.sklearn import Sklearn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(int)
NAMES = ("wind", "rain", "hour")
COLUMNS = {name: X[:, [k]] for k, name in enumerate(NAMES)}
FRAME = polars.DataFrame({name: values[:, 0] for name, values in COLUMNS.items()})


def save(model: Any, folder: Path) -> Path:
    skops.io.dump(model, folder / "model.skops")
    return folder / "model.skops"


MODELS: dict[str, Callable[[], Any]] = {
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=3),
    "boosting with categories": lambda: HistGradientBoostingClassifier(max_iter=3, categorical_features=[2]),
    "boosting that stops early": lambda: HistGradientBoostingClassifier(max_iter=5, early_stopping=True),
    "forest": lambda: RandomForestClassifier(3),
    "old boosting": lambda: GradientBoostingClassifier(n_estimators=3),
    "pipeline": lambda: make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
    "descent": lambda: SGDClassifier(loss="log_loss"),
    "calibrated": lambda: CalibratedClassifierCV(LogisticRegression()),
    "columns": lambda: make_pipeline(
        ColumnTransformer([("n", StandardScaler(), [0])], remainder="passthrough"), LogisticRegression()
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_skops_file_gives_the_labs_probability(name: str, tmp_path: Path) -> None:
    rows = np.abs(np.rint(X))
    lab = MODELS[name]().fit(rows, Y)
    got = Sklearn(save(lab, tmp_path))({key: rows[:, [k]] for k, key in enumerate(NAMES)})
    np.testing.assert_allclose(got["probability"], lab.predict_proba(rows)[:, 1], atol=1e-9)


def test_text_columns_go_in_as_objects(tmp_path: Path) -> None:
    carriers = RNG.choice(["AA", "UA", None], size=(120, 1)).astype(object)
    rows = np.concatenate([X[:, :1].astype(object), carriers], axis=1)
    encode = [("n", StandardScaler(), [0]), ("c", OneHotEncoder(handle_unknown="ignore"), [1])]
    lab = make_pipeline(ColumnTransformer(encode), LogisticRegression()).fit(rows, Y)
    got = Sklearn(save(lab, tmp_path))({"wind": X[:, [0]], "carrier": carriers})
    np.testing.assert_allclose(got["probability"], lab.predict_proba(rows)[:, 1], atol=1e-9)


def test_columns_are_ordered_by_the_names_of_the_fit(tmp_path: Path) -> None:
    lab = LogisticRegression().fit(FRAME.select("hour", "wind"), Y)
    got = Sklearn(save(lab, tmp_path))(COLUMNS)
    expected = LogisticRegression().fit(X[:, [2, 0]], Y).predict_proba(X[:, [2, 0]])[:, 1]
    np.testing.assert_allclose(got["probability"], expected, atol=1e-6)


def test_a_pipeline_that_picks_columns_by_name_gets_a_table(tmp_path: Path) -> None:
    carriers = RNG.choice(["AA", "UA", None], size=120).astype(object)
    frame = FRAME.with_columns(polars.Series("carrier", carriers.tolist()))
    encode = [("n", StandardScaler(), ["hour", "wind"]), ("c", OneHotEncoder(handle_unknown="ignore"), ["carrier"])]
    lab = make_pipeline(ColumnTransformer(encode), LogisticRegression()).fit(frame, Y)
    got = Sklearn(save(lab, tmp_path))({"carrier": carriers.reshape(-1, 1), **COLUMNS})
    np.testing.assert_allclose(got["probability"], lab.predict_proba(frame)[:, 1], atol=1e-9)


def test_a_regressor_answers_value_or_what_output_says(tmp_path: Path) -> None:
    file = save(HistGradientBoostingRegressor(max_iter=3).fit(X, X[:, 0]), tmp_path)
    assert Sklearn(file)(COLUMNS)["value"].shape == (120,)
    assert list(Sklearn(file, output="delay")(COLUMNS)) == ["delay"]


def test_a_regressor_of_two_values_keeps_both(tmp_path: Path) -> None:
    file = save(LinearRegression().fit(X, X[:, :2]), tmp_path)
    assert Sklearn(file)(COLUMNS)["value"].shape == (120, 2)


def test_three_classes_answer_all_probabilities_on_rows_and_on_none(tmp_path: Path) -> None:
    engine = Sklearn(save(LogisticRegression().fit(X, np.arange(120) % 3), tmp_path))
    assert engine(COLUMNS)["probabilities"].shape == (120, 3)
    assert engine({name: values[:0] for name, values in COLUMNS.items()})["probabilities"].shape == (0, 3)


def dump_pickle(model: Any, file: Path) -> None:
    file.write_bytes(pickle.dumps(model))


@pytest.mark.parametrize("dump", [joblib.dump, dump_pickle])
def test_a_pickle_of_a_plain_estimator_needs_no_trust(dump: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    lab, file = LogisticRegression().fit(X, Y), tmp_path / "0123abcd"
    dump(lab, file)
    np.testing.assert_allclose(Sklearn(file)(COLUMNS)["probability"], lab.predict_proba(X)[:, 1])


class Constant(LogisticRegression):
    """An estimator of one's own, which is on no list."""

    def predict_proba(self, rows: Any) -> Any:
        return np.full((len(rows), 2), 0.5)


@pytest.mark.parametrize("dump", [joblib.dump, dump_pickle])
def test_an_estimator_of_ones_own_is_refused_unless_trusted(
    dump: Callable[[Any, Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "own_models", SimpleNamespace(Constant=Constant))
    monkeypatch.setattr(Constant, "__module__", "own_models")
    dump(Constant().fit(X, Y), tmp_path / "0123abcd")
    with pytest.raises(BadData, match=r"uses own_models\.Constant, and allowed are.*ONNX, skops.*`trust: true`"):
        Sklearn(tmp_path / "0123abcd")(COLUMNS)
    assert set(Sklearn(tmp_path / "0123abcd", trust=True)(COLUMNS)["probability"]) == {0.5}


def test_what_is_no_estimator_is_told(tmp_path: Path) -> None:
    dump_pickle({"model": None}, tmp_path / "model.pkl")
    with pytest.raises(BadData, match="holds a dict, which cannot predict; save the estimator"):
        Sklearn(tmp_path / "model.pkl")(COLUMNS)


def test_describe_tells_names_and_widths(tmp_path: Path) -> None:
    named = save(LogisticRegression().fit(FRAME.select("hour", "wind"), Y), tmp_path)
    assert Sklearn.describe(named) == Signature({"hour": Field(), "wind": Field()}, {"probability": Field()})
    bare = save(LogisticRegression().fit(X, np.arange(120) % 3), tmp_path)
    assert Sklearn.describe(bare) == Signature({"x": Field(width=3)}, {"probabilities": Field(width=3)})


def test_a_skops_file_with_an_unknown_type_is_refused_by_name(tmp_path: Path) -> None:
    lab = make_pipeline(FunctionTransformer(joblib.hash), OrdinalEncoder())
    with pytest.raises(
        BadData, match=r"not on the list of known ones: joblib\.hashing\.hash; export the model to ONNX"
    ):
        Sklearn(save(lab, tmp_path))(COLUMNS)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no model file"):
        Sklearn(tmp_path / "none.skops")(COLUMNS)


def test_check_names_the_column_or_the_count_that_differs(tmp_path: Path) -> None:
    named = Sklearn(save(LogisticRegression().fit(FRAME.select("hour", "wind"), Y), tmp_path))
    named.check(Signature({name: Field() for name in NAMES}, {}))
    with pytest.raises(BadData, match="wants an input 'wind'; did you mean 'wnd'"):
        named.check(Signature({"hour": Field(), "wnd": Field()}, {}))
    counted = Sklearn(save(LogisticRegression().fit(X, Y), tmp_path))
    with pytest.raises(BadData, match="wants 3 values a row and the project promises 2"):
        counted.check(Signature({"hour": Field(), "wind": Field()}, {}))
