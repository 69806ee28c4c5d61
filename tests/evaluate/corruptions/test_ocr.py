from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.ocr import Ocr


def read(text: str, rate: float, severity: float = 1.0) -> str:
    sample = Sample({"said": np.array([text], dtype=object)})
    return str(Ocr(rate=rate)(sample, severity, np.random.default_rng(0)).columns["said"][0])


@pytest.mark.parametrize(("printed", "seen"), [("rn", "m"), ("Il0", "l1O"), ("clip", "d1p"), ("日本 xyk", "日本 xyk")])
def test_a_letter_is_read_as_its_look_alike(printed: str, seen: str) -> None:
    assert read(printed, 1.0) == seen


def test_a_tenth_of_the_letters_at_severity_1_and_half_of_that_at_half() -> None:
    text = "e" * 20_000
    assert 0.09 < read(text, 0.1).count("c") / len(text) < 0.11
    assert 0.04 < read(text, 0.1, 0.5).count("c") / len(text) < 0.06
