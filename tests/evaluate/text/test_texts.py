from __future__ import annotations

from itertools import islice

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.text.texts import chances, mend_texts, named, spoil_texts


def sample() -> Sample:
    columns = {"said": np.array(["a", None, "b", 7], dtype=object), "town": np.array(["x"] * 4, dtype=object)}
    return Sample({**columns, "heat": np.zeros(4)}, fields={"town": Field("category")})


def test_text_is_spoilt_where_it_is_hit_and_null_stays_null() -> None:
    hit = np.array([True, True, False, True])
    spoilt = spoil_texts(sample(), (), hit, lambda texts: [text.upper() for text in texts])
    assert spoilt.columns["said"].tolist() == ["A", None, "b", 7]
    assert spoilt.columns["town"].tolist() == ["x"] * 4


def test_named_columns_may_be_categories_and_never_numbers() -> None:
    assert named(sample(), (), "text") == ("said",)
    assert named(sample(), ("town", "heat", "absent"), "text") == ("town",)


def test_nothing_mended_is_the_sample_itself() -> None:
    given = sample()
    assert mend_texts(given, {"said": str.strip}) is given
    assert mend_texts(given, {"said": str.upper}).columns["said"].tolist() == ["A", None, "B", 7]


def test_chances_are_those_of_the_generator_and_have_no_end() -> None:
    drawn = list(islice(chances(np.random.default_rng(1)), 5000))
    assert drawn[:3] == np.random.default_rng(1).random(3).tolist()
    assert 0.45 < float(np.mean(drawn)) < 0.55
