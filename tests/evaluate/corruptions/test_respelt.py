from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.corruptions.respelt import Respelt
from roadworthy.testing.corruptions import mixed_sample

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("form", "spelt"),
    [
        ("padded", "  new York "),
        ("trailing", " new York  "),
        ("stripped", "new York"),
        ("upper", " NEW YORK "),
        ("lower", " new york "),
        ("title", " New York "),
        ("underscored", "_new_York_"),
    ],
)
def test_a_category_is_spelt_in_another_way(form: str, spelt: str) -> None:
    sample = Sample({"town": np.array([" new York ", None], dtype=object)}, fields={"town": Field("category")})
    spoilt = Respelt(form=form)(sample, 1.0, RNG)  # type: ignore[arg-type]
    assert spoilt.columns["town"].tolist() == [spelt, None]


def test_utf_8_is_read_as_windows_1252() -> None:
    sample = Sample({"town": np.array(["Zürich", "Genève", "Bern"], dtype=object)})
    assert Respelt(form="mojibake")(sample, 1.0, RNG).columns["town"].tolist() == ["ZÃ¼rich", "GenÃ¨ve", "Bern"]


def test_free_text_is_no_category_unless_it_is_named() -> None:
    sample = mixed_sample()
    assert Respelt()(sample, 1.0, RNG).columns["said"] is sample.columns["said"]
    assert Respelt(("said",))(sample, 1.0, RNG).columns["said"][0] == " " + sample.columns["said"][0]


def test_half_the_severity_spells_half_the_rows() -> None:
    sample = mixed_sample(2000)
    changed = Respelt()(sample, 0.5, RNG).columns["town"] != sample.columns["town"]
    known = np.array([town is not None for town in sample.columns["town"]])
    assert changed[known].mean() == pytest.approx(0.5, abs=0.05)
