from __future__ import annotations

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.repairs.vocabulary import Vocabulary


def sample(*values: str | None, kind: str = "category", known: tuple[str, ...] = ()) -> Sample:
    fields = {"work": Field(kind, values=known)}  # type: ignore[arg-type]
    return Sample({"work": np.array(values, dtype=object)}, fields=fields)


def test_stripped_and_shouted_categories_become_the_labs() -> None:
    mended = Vocabulary()(sample("Private", "STATE-GOV", None, "new"), sample(" Private", " State-gov"))
    assert mended.columns["work"].tolist() == [" Private", " State-gov", None, "new"]


def test_a_declared_category_that_the_lab_sample_lacks_is_known_too() -> None:
    lab = sample(" Private", known=(" Private", " Never-worked"))
    assert Vocabulary()(sample("Never-worked"), lab).columns["work"].tolist() == [" Never-worked"]


def test_nothing_to_mend_is_the_sample_itself() -> None:
    given = sample(" Private", None, "new")
    assert Vocabulary()(given, sample(" Private")) is given


def test_free_text_is_mended_only_where_it_is_named() -> None:
    given, lab = sample("Private", kind="text"), sample(" Private", kind="text")
    assert Vocabulary()(given, lab) is given
    assert Vocabulary(("work",))(given, lab).columns["work"].tolist() == [" Private"]


def test_the_plan_holds_the_labs_categories() -> None:
    assert Vocabulary().plan(sample("b", "a", None)) == {"vocabulary": {"values": {"work": ["a", "b"]}}}
    assert Vocabulary().plan(Sample({"heat": np.array([1.0])})) is None
