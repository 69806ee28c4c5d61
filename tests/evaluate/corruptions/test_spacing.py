from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.spacing import Spacing

TEXT = ("where is my card " * 500).strip()


def spaced(made: Spacing, severity: float = 1.0) -> str:
    sample = Sample({"said": np.array([TEXT], dtype=object)})
    return str(made(sample, severity, np.random.default_rng(0)).columns["said"][0])


def test_a_share_of_the_gaps_is_gone_and_no_letter() -> None:
    after = spaced(Spacing(), 0.5)
    assert after.count(" ") / TEXT.count(" ") == pytest.approx(0.8, abs=0.03)
    assert after.replace(" ", "") == TEXT.replace(" ", "")


def test_gaps_are_doubled_and_the_words_stay() -> None:
    after = spaced(Spacing(form="doubled"))
    assert after.split() == TEXT.split()
    assert after.count(" ") / TEXT.count(" ") == pytest.approx(1.4, abs=0.05)


def test_words_are_split_only_between_two_letters() -> None:
    after = spaced(Spacing(form="split"))
    assert "  " not in after
    assert after == after.strip()
    assert len(after.split()) > 2100


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of glued, split, doubled; got 'wide'"):
        Spacing(form="wide")  # type: ignore[arg-type]
