from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.incomplete import Incomplete


def cut(text: str, n: int = 1, severity: float = 1.0, form: Literal["tail", "head", "middle"] = "tail") -> list[str]:
    sample = Sample({"said": np.array([text] * n, dtype=object)})
    return [str(t) for t in Incomplete(form=form)(sample, severity, np.random.default_rng(0)).columns["said"]]


@pytest.mark.parametrize(("form", "wanted"), [("tail", "a b c"), ("head", "d e f"), ("middle", "a b f")])
def test_half_of_the_words_are_gone_where_it_says(form: Literal["tail", "head", "middle"], wanted: str) -> None:
    assert cut("a b c d e f", form=form) == [wanted]


def test_the_share_holds_on_average_for_short_texts_too() -> None:
    kept = np.mean([len(text.split()) for text in cut("a b c d e", 4000, 0.6)])
    assert kept == pytest.approx(3.5, abs=0.05)


def test_at_least_one_word_stays() -> None:
    assert cut("one", severity=1.0) == ["one"]
    assert set(cut("a b", 50)) == {"a"}


def test_what_is_cut_may_be_what_the_label_rests_on() -> None:
    assert Incomplete.label_preserving is False
