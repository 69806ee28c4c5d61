"""Honest files of every format load, are known by their content, and answer as they did in the lab."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC

from roadworthy.core.errors import BadData, Missing, SpecError
from roadworthy.serve.base import engine
from roadworthy.serve.engines.sklearn import Sklearn
from roadworthy.serve.formats.base import Limits, Unsafe
from roadworthy.serve.safe_import import check, kind_of_file, load

RNG = np.random.default_rng(0)
X = np.abs(RNG.normal(size=(80, 3)))
Y = (X[:, 0] > X[:, 1]).astype(int)

MODELS: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(3, random_state=np.random.RandomState(0)),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=3),
    "boosting with categories": lambda: HistGradientBoostingClassifier(max_iter=3, categorical_features=[2]),
    "boosting of numbers": lambda: HistGradientBoostingRegressor(max_iter=3),
    "old boosting": lambda: GradientBoostingClassifier(n_estimators=3),
    "pipeline": lambda: make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
    "columns": lambda: make_pipeline(
        ColumnTransformer([("n", PolynomialFeatures(), [0])], remainder="passthrough"), SGDClassifier(loss="log_loss")
    ),
    "logarithms": lambda: make_pipeline(FunctionTransformer(np.log1p), Ridge()),
    "calibrated": lambda: CalibratedClassifierCV(LogisticRegression()),
    "stacked": lambda: StackingClassifier([("a", LogisticRegression())], cv=2),
    "searched": lambda: GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2, scoring="roc_auc"),
    "vectors": lambda: SVC(),
    "neighbours": lambda: KNeighborsClassifier(algorithm="brute"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_plain_estimator_loads_from_every_pickle_and_answers_as_before(name: str, tmp_path: Path) -> None:
    rows = np.rint(X)
    lab = MODELS[name]().fit(rows, Y)
    file = tmp_path / "model"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        file.write_bytes(pickle.dumps(lab, protocol))
        assert kind_of_file(file) == "pickle"
        np.testing.assert_array_equal(load(file).predict(rows), lab.predict(rows))
    for compress in (0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)):
        joblib.dump(lab, file, compress=compress)
        np.testing.assert_array_equal(load(file).predict(rows), lab.predict(rows))


def test_words_and_categories_load_too(tmp_path: Path) -> None:
    words = ["late plane", "on time", "late again", "early"] * 3
    text = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(words, [1, 0, 1, 0] * 3)
    carriers = np.array([["AA"], ["UA"], [None]] * 4, dtype=object)
    encoder = OneHotEncoder(handle_unknown="ignore").fit(carriers)
    for lab, asked, ask in ((text, words, "predict"), (encoder, carriers, "transform")):
        joblib.dump(lab, tmp_path / "model")
        expected, got = getattr(lab, ask)(asked), getattr(load(tmp_path / "model"), ask)(asked)
        np.testing.assert_array_equal(got.todense() if ask == "transform" else got,
                                      expected.todense() if ask == "transform" else expected)  # fmt: skip


def test_a_loaded_array_may_be_written_to_and_keeps_its_order(tmp_path: Path) -> None:
    whole = {"c": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.arange(6).reshape(2, 3)), "n": np.array(3.0)}
    joblib.dump(whole, tmp_path / "arrays")
    got = load(tmp_path / "arrays")
    for name, array in whole.items():
        np.testing.assert_array_equal(got[name], array)
    got["c"][0, 0] = 9
    assert got["f"].flags.f_contiguous


@pytest.mark.parametrize("order", ["<", ">"])
def test_arrays_come_from_npy_and_npz_in_the_order_of_this_machine(order: str, tmp_path: Path) -> None:
    array = np.arange(6).reshape(2, 3).astype(f"{order}f8")
    np.save(tmp_path / "a.npy", np.asfortranarray(array))
    np.savez_compressed(tmp_path / "a.npz", x=array, words=np.array(["a", None], dtype=object))
    assert (kind_of_file(tmp_path / "a.npy"), kind_of_file(tmp_path / "a.npz")) == ("npy", "npz")
    np.testing.assert_array_equal(load(tmp_path / "a.npy"), array)
    both = load(tmp_path / "a.npz")
    np.testing.assert_array_equal(both["x"], array)
    assert both["x"].dtype.isnative
    assert both["words"].tolist() == ["a", None]


def test_tensors_come_from_safetensors_and_from_both_checkpoints(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    state = {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor([1, 2]), "h": torch.ones(2, dtype=torch.bfloat16)}
    save_file(state, tmp_path / "safetensors")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "torch")
    torch.save({"state_dict": state}, tmp_path / "torch legacy", _use_new_zipfile_serialization=False)
    for name in ("safetensors", "torch", "torch legacy"):
        file = tmp_path / name
        assert (kind_of_file(file), check(file)) == (name, name)
        got = load(file)
        got = got.get("state_dict", got)
        assert all(torch.equal(got[key], value) for key, value in state.items())


def test_a_skops_file_is_known_and_loaded(tmp_path: Path) -> None:
    skops.io.dump(LogisticRegression().fit(X, Y), tmp_path / "model")
    assert check(tmp_path / "model") == "skops"
    assert load(tmp_path / "model").predict(X).shape == (80,)


def test_what_is_on_no_list_needs_trust(tmp_path: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(b"\x80\x04cshutil\nwhich\n(Vpython\ntR.")
    with pytest.raises(Unsafe, match=r"uses shutil\.which, and allowed are.*`trust: true`.*release --trust"):
        load(file)
    assert load(file, trust=True) is not None


def test_what_is_trusted_is_read_by_the_tool_that_wrote_it(tmp_path: Path) -> None:
    import torch

    torch.save(torch.nn.Linear(2, 1), tmp_path / "module.pt")
    joblib.dump({"cwd": os.getcwd}, tmp_path / "model.joblib", compress=3)
    skops.io.dump(FunctionTransformer(os.path.basename), tmp_path / "model.skops")
    assert isinstance(load(tmp_path / "module.pt", trust=True), torch.nn.Linear)
    assert load(tmp_path / "model.joblib", trust=True)["cwd"] is os.getcwd
    assert load(tmp_path / "model.skops", trust=True).func is os.path.basename


def test_limits_are_settings_of_the_engine(tmp_path: Path) -> None:
    skops.io.dump(LogisticRegression().fit(X, Y), tmp_path / "model")
    made: Any = engine.make({"sklearn": {"limits": {"most_bytes": 100}}}, file=tmp_path / "model")
    assert made == Sklearn(tmp_path / "model", limits=Limits(most_bytes=100))
    with pytest.raises(Unsafe, match=r"and 100 are allowed; raise `limits: \{most_bytes: \d+\}`"):
        made({name: X[:, [k]] for k, name in enumerate("abc")})


def test_a_limit_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="`most_bytes` must be above 0, got 0"):
        engine.make({"sklearn": {"limits": {"most_bytes": 0}}}, file=tmp_path)


def test_what_is_not_there_or_of_another_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no model file"):
        load(tmp_path / "none")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadData, match="of the kind 'folder', which an engine runs"):
        load(tmp_path / "folder")
