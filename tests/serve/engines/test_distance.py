from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.spec import Field, Signature
from roadworthy.serve.base import engine
from roadworthy.serve.engines.distance import Distance
from roadworthy.serve.engines.sklearn import Sklearn
from roadworthy.serve.formats.folder import pack
from roadworthy.serve.uncertainty.distance import fit_neighbours, fit_spreads, strangeness, write

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3)).astype(np.float32)
COLUMNS = {name: X[:9, [k]] for k, name in enumerate("abc")}
REFERENCE = fit_spreads(X[:200], X[200:], Random(0))

CODE = """
def predict(columns):
    return {"probability": columns["a"][:, 0] > 0, "embedding": columns["b"].repeat(2, axis=1)}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    place.mkdir()
    skops.io.dump(LogisticRegression().fit(X, X[:, 0] > 0), place / "net.skops")
    write(REFERENCE, place / "reference.npz")
    (tmp_path / "rule.py").write_text(CODE)
    return tmp_path


def test_the_inner_answer_comes_with_its_distance_and_p_value(folder: Path) -> None:
    got = Distance(folder / "model")(COLUMNS)
    alone = Sklearn(folder / "model" / "net.skops")(COLUMNS)
    np.testing.assert_array_equal(got["probability"], alone["probability"])
    away, p = strangeness(REFERENCE, X[:9])
    np.testing.assert_allclose(got["distance"], away)
    np.testing.assert_array_equal(got["ood"], p)


def test_a_release_keeps_model_and_reference_as_one_file(folder: Path) -> None:
    packed = pack(folder / "model", folder / "packed")
    made = engine.make({"distance": {"inner": "sklearn", "name": "strange"}}, folder, file=packed, output="late")
    assert list(made(COLUMNS)) == ["late", "distance", "strange"]


def test_a_row_far_from_the_training_set_has_a_small_p_value(folder: Path) -> None:
    far = {name: values + 8 for name, values in COLUMNS.items()}
    assert (Distance(folder / "model")(far)["ood"] == 1 / 101).all()


def test_a_null_is_no_reason_to_fail_and_text_is_left_out(folder: Path) -> None:
    write(fit_spreads(X[:200, :2], X[200:, :2], Random(0)), folder / "model" / "reference.npz")
    (folder / "model" / "net.skops").unlink()
    columns = {"a": COLUMNS["a"].copy(), "b": COLUMNS["b"], "word": np.full((9, 1), "x", object)}
    columns["a"][0] = np.nan
    made = Distance(folder / "model", "function", model="none", code="rule.py:predict", folder=folder)
    assert np.isfinite(made(columns)["ood"]).all()
    fewer = Distance(
        folder / "model", "function", model="none", columns=("b", "a"), code="rule.py:predict", folder=folder
    )
    np.testing.assert_allclose(fewer({**columns, "c": COLUMNS["c"]})["distance"].shape, (9,))


def test_distances_of_an_embedding_do_not_hand_it_out_unasked(folder: Path) -> None:
    embedding = X[:, [1, 1]] + RNG.normal(0, 0.01, (300, 2))
    reference = fit_neighbours(embedding[:200], embedding[200:], Random(0), most=50)
    write(reference, folder / "model" / "reference.npz")
    settings = {"model": "none", "of": "embedding", "code": "rule.py:predict", "folder": folder}
    got = Distance(folder / "model", "function", **settings)(COLUMNS)
    assert list(got) == ["probability", "distance", "ood"]
    np.testing.assert_allclose(got["distance"], reference.distances(X[:9, [1, 1]]))
    assert "embedding" in Distance(folder / "model", "function", keep=True, **settings)(COLUMNS)


def test_inputs_that_the_reference_was_not_fitted_to_are_refused_before_it_serves(folder: Path) -> None:
    made = Distance(folder / "model")
    made.check(Signature({name: Field() for name in "abc"}, {}))
    with pytest.raises(BadData, match="wants 3 values a row and the project promises 4"):
        made.check(Signature({name: Field() for name in "abcd"}, {}))
    write(fit_spreads(X[:200, :2], X[200:, :2], Random(0)), folder / "model" / "reference.npz")
    with pytest.raises(BadData, match="the reference has 2 values a row, the inputs have 3"):
        Distance(folder / "model").check(Signature({name: Field() for name in "abc"}, {}))
    with pytest.raises(BadData, match=r"no numeric input 'x' \(known: a, b, c\)"):
        Distance(folder / "model", columns=("x",)).check(Signature({name: Field() for name in "abc"}, {}))


def test_wrong_settings_say_what_there_is(folder: Path) -> None:
    with pytest.raises(SpecError, match=r"the inner model has no answer 'embeding' \(it has: probability\)"):
        Distance(folder / "model", of="embeding")(COLUMNS)
    with pytest.raises(ValueError, match="distances are between `columns` or of an answer"):
        Distance(folder / "model", of="embedding", columns=("a",))
    (folder / "model" / "more.skops").write_bytes(b"x")
    with pytest.raises(SpecError, match=r"beside 'reference\.npz' lie more\.skops, net\.skops: say as `model`"):
        Distance(folder / "model")(COLUMNS)
