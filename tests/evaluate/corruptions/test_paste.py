from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.paste import FORMS, Form, Paste

TEXT = "why is the card of my wife < 5 pounds"


def pasted(made: Paste, n: int = 1, severity: float = 1.0) -> list[str]:
    sample = Sample({"said": np.array([TEXT] * n, dtype=object)})
    return [str(text) for text in made(sample, severity, np.random.default_rng(0)).columns["said"]]


@pytest.mark.parametrize(
    ("form", "mark"),
    [
        ("newline", "\n"),
        ("html", "&lt; 5"),
        ("quote_prefix", "\n>"),
        ("signature", "\n"),
        ("nbsp", "\u00a0"),
        ("bullets", "\n"),
        ("table_pipe", " | "),
    ],
)
def test_every_text_carries_the_mark_of_its_form(form: Form, mark: str) -> None:
    assert all(mark in text for text in pasted(Paste(form=form), 200))


@pytest.mark.parametrize("form", [form for form in FORMS if form != "html"])
def test_no_word_is_lost(form: Form) -> None:
    words = pasted(Paste(form=form))[0].split()
    assert [word for word in TEXT.split() if word not in words] == []


def test_any_draws_a_form_for_each_text_and_severity_how_many() -> None:
    after = pasted(Paste(), 2000, 0.5)
    assert 0.45 < sum(text != TEXT for text in after) / 2000 < 0.55
    assert 0.05 < sum("</" in text for text in after) / 2000 < 0.1
    assert 0.05 < sum(text.startswith("| ") for text in after) / 2000 < 0.1


def test_an_unknown_form_is_refused_with_all_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"any, newline, html, quote_prefix, .*; got 'fax'"):
        Paste(form="fax")  # type: ignore[arg-type]
