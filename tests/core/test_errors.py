from __future__ import annotations

import pytest

from roadworthy.core import errors
from roadworthy.core.errors import Missing, MissingExtra, Overloaded, RoadworthyError, nearest, unknown

ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RoadworthyError)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_says_what_a_door_does_with_it(kind):
    assert 400 <= kind.status < 600
    assert kind.exit_code == 2
    assert kind.__doc__


@pytest.mark.parametrize(
    ("given", "told"),
    [("pis", "; did you mean 'psi'?"), ("psi", "; did you mean 'psi'?"), ("calibration", "")],
)
def test_the_nearest_name_is_told_only_when_it_is_near(given, told):
    assert nearest(given, ["psi", "ks"]) == told


def test_an_unknown_name_is_told_with_all_that_are_known():
    assert unknown("gate", "qualty", ["quality", "errors"]) == (
        "no gate named 'qualty'; did you mean 'quality'? (known: errors, quality)"
    )
    assert unknown("gate", "quality", []) == "no gate named 'quality' (known: none)"


def test_a_missing_thing_does_not_quote_its_sentence():
    assert str(Missing("no release 'abc'")) == "no release 'abc'"
    assert isinstance(Missing("x"), LookupError)


def test_a_full_queue_says_when_to_come_back():
    assert Overloaded("full").retry_after == 1.0
    assert Overloaded("full", retry_after=0.2).retry_after == 0.2


def test_a_missing_extra_says_what_to_install():
    wrong = MissingExtra("engine 'onnx'", "onnxruntime", "onnx")
    assert isinstance(wrong, ImportError)
    assert str(wrong) == "engine 'onnx' needs `onnxruntime`: pip install 'roadworthy[onnx]'"
