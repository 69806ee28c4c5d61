"""Sets of names come from probabilities, and data that cannot promise anything are refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import BadData, SpecError
from roadworthy.serve.conformal.fitting import fit
from roadworthy.serve.wrappers.lac import Lac

RNG = np.random.default_rng(0)
P = RNG.dirichlet(np.ones(3), 60)
Y = RNG.integers(0, 3, 60)


def fitted(labels=Y, p=P, target=0.9):
    return fit(Lac(), labels, {"probabilities": np.asarray(p)}, target)


@pytest.mark.parametrize(
    ("labels", "p", "told"),
    [
        (np.zeros(60), P, "all 60 labels are of class 0"),
        (np.where(np.arange(60) == 3, np.nan, Y), P, "1 of the labels not finite; leave out rows whose label"),
        (Y[:-1], P, "one label for each row"),
        ([], P[:0], "one label for each row"),
        (np.where(np.arange(60) == 3, 3, Y), P, "0 to 2, got 3.0"),
        (Y + 0.5, P, "is the number of a class"),
        (Y, np.where(np.arange(60)[:, None] == 5, np.nan, P), "1 rows of 'probabilities' hold NaN"),
        (Y, P * 3, "does not hold probabilities"),
        (Y, np.log(P), "does not hold probabilities"),
        (Y, P[:, :, None], "has shape"),
        (Y[:8], P[:8], "8 labelled rows cannot promise that 0.9"),
    ],
)
def test_what_cannot_promise_anything_is_refused(labels, p, told):
    with pytest.raises(BadData, match=told):
        fitted(labels, p)


def test_an_output_that_is_not_there_is_named():
    with pytest.raises(SpecError, match="no output 'probabilities' to make prediction sets of"):
        Lac().on_outputs({"scores": P})


def test_what_a_binary_model_answers_counts_for_both_classes():
    p = np.array([0.9, 0.5, 0.2], np.float32)
    for outputs in ({"probability": p}, {"probability": p[:, None]}):
        found = Lac(0.6, ("no", "yes"), "probability").on_outputs(outputs)
        assert found["prediction_set"].tolist() == [("yes",), ("no", "yes"), ("no",)]
    assert fit(Lac(output="probability"), [0, 1] * 9, {"probability": np.linspace(0, 1, 18)}).rows == 18


def test_classes_without_names_are_numbers_and_as_many_names_are_needed_as_classes():
    assert Lac(0.5).on_outputs({"probabilities": np.array([[0.6, 0.3, 0.1]])})["prediction_set"].tolist() == [("0",)]
    for rows in (1, 2):
        with pytest.raises(SpecError, match="names 2 classes and the model answers 3"):
            Lac(0.5, ("a", "b")).on_outputs({"probabilities": P[:rows]})


def test_no_rows_make_no_sets():
    assert Lac(0.5).on_outputs({"probabilities": P[:0]})["prediction_set"].shape == (0,)
