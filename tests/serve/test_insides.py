"""What is inside of a model is found in ONNX and scikit-learn files alike, and only given where it is proven."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from roadworthy.core.insides import Explained, Insides
from roadworthy.observe.explainers.linear import Linear
from roadworthy.observe.explainers.tree import Tree
from roadworthy.serve.engines.onnx import Onnx
from roadworthy.serve.engines.sklearn import Sklearn
from roadworthy.serve.insides import owners_of, proven

RNG = np.random.default_rng(3)
MATRIX = RNG.normal(size=(200, 3)).astype(np.float32)
BINARY = (MATRIX[:, 0] + MATRIX[:, 1] * MATRIX[:, 2] > 0.2).astype(int)
NUMBER = MATRIX[:, 0] * 3 + np.abs(MATRIX[:, 1])
COLUMNS = {name: MATRIX[:, [k]] for k, name in enumerate("abc")}

MODELS = {
    "logistic behind a scaler": (make_pipeline(StandardScaler(), LogisticRegression()), BINARY, "linear", "logit"),
    "least squares": (LinearRegression(), NUMBER, "linear", "1"),
    "boosted classes": (HistGradientBoostingClassifier(max_iter=8), BINARY, "trees", "logit"),
    "boosted numbers": (HistGradientBoostingRegressor(max_iter=8), NUMBER, "trees", "1"),
    "gradient boosting": (GradientBoostingRegressor(n_estimators=8), NUMBER, "trees", "1"),
    "a forest": (RandomForestClassifier(8, max_depth=4, random_state=0), BINARY, "trees", "1"),
}


def onnx_of(model, folder):
    from skl2onnx import to_onnx

    options = {"zipmap": False} if hasattr(model, "predict_proba") else None
    file = folder / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.write_bytes(to_onnx(model, MATRIX[:1], options=options, target_opset=17).SerializeToString())
    return Onnx(file)


def skops_of(model, folder):
    import skops.io

    skops.io.dump(model, folder / "model.skops")
    return Sklearn(folder / "model.skops")


@pytest.mark.parametrize("saved", [onnx_of, skops_of])
@pytest.mark.parametrize("name", MODELS)
def test_parts_add_up_to_the_models_own_answer(name, saved, tmp_path):
    model, target, kind, unit = MODELS[name]
    engine = saved(model.fit(MATRIX, target), tmp_path)
    found = engine.insides(COLUMNS)
    assert (found.kind, found.unit, found.owners) == (kind, unit, ("a", "b", "c"))
    answers = np.asarray(next(iter(engine(COLUMNS).values())), float).reshape(-1)
    explainer = Linear() if kind == "linear" else Tree()
    row = {column: values[5:6] for column, values in COLUMNS.items()}
    part = explainer(Explained(lambda columns: answers, found), row, COLUMNS, np.random.default_rng(0))
    score = part.baseline + sum(one.value for one in part.parts)
    stated = 1 / (1 + np.exp(-score)) if unit == "logit" else score
    assert stated == pytest.approx(answers[5], abs=2e-4)


@pytest.mark.parametrize("saved", [onnx_of, skops_of])
def test_nulls_go_where_the_trees_were_taught_to_send_them(saved, tmp_path):
    holes = MATRIX.copy()
    holes[::3, 1] = np.nan
    engine = saved(HistGradientBoostingClassifier(max_iter=6).fit(holes, BINARY), tmp_path)
    found = engine.insides({name: holes[:, [k]] for k, name in enumerate("abc")})
    assert found is not None
    assert found.owners == ("a", "b", "c")


def test_the_features_of_a_category_belong_to_it(tmp_path):
    text = RNG.choice(np.array(["x", "y", "z"], object), size=(200, 1))
    encode = ColumnTransformer([("text", OneHotEncoder(handle_unknown="ignore"), [0])], remainder="passthrough")
    rows = np.concatenate([text, MATRIX[:, :1].astype(object)], axis=1)
    engine = skops_of(make_pipeline(encode, LogisticRegression()).fit(rows, BINARY), tmp_path)
    assert engine.insides({"town": text, "a": MATRIX[:, :1]}).owners == ("town", "town", "town", "a")


def test_an_input_that_is_constant_among_the_rows_is_found_too(tmp_path):
    engine = onnx_of(HistGradientBoostingClassifier(max_iter=4).fit(MATRIX, BINARY), tmp_path)
    dull = {**COLUMNS, "b": np.zeros((200, 1), np.float32)}
    assert engine.insides(dull).owners == ("a", "b", "c")


def test_features_of_several_inputs_have_no_owner(tmp_path):
    model = make_pipeline(PolynomialFeatures(2, include_bias=False), LogisticRegression()).fit(MATRIX, BINARY)
    assert skops_of(model, tmp_path).insides(COLUMNS) is None
    assert owners_of(lambda c: c["a"] * c["b"], COLUMNS) is None


@pytest.mark.parametrize("saved", [onnx_of, skops_of])
def test_three_classes_and_other_models_are_left_to_those_who_sample(saved, tmp_path):
    three = LogisticRegression().fit(MATRIX, np.arange(200) % 3)
    assert saved(three, tmp_path).insides(COLUMNS) is None


def test_a_model_without_trees_or_weights_has_no_insides(tmp_path):
    assert skops_of(GaussianNB().fit(MATRIX, BINARY), tmp_path).insides(COLUMNS) is None


def test_insides_that_compute_something_else_are_not_given():
    made = Insides("linear", lambda columns: columns["a"], ("a",), (np.ones(1), 0.0), "1")
    rows, answers = {"a": np.ones((2, 1))}, np.array([1.0, 1.0])
    assert proven(made, lambda matrix: matrix @ np.ones(1), rows, answers) is made
    assert proven(made, lambda matrix: matrix @ np.array([1.01]), rows, answers) is None
