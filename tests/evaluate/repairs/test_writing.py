"""The repairs of writing are one function of different steps; tests/core/test_tidy.py tells what each step does."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.base import corruption, repair
from roadworthy.evaluate.repairs.lower import Lower
from roadworthy.evaluate.repairs.nfkc import Nfkc
from roadworthy.evaluate.repairs.whitespace import Whitespace

TEXTS = ["where is my card?", "why was I charged a fee, and by whom?", "it isn't working since 5 March, please help me"]


def sample(*texts: str | None, kind: str = "text") -> Sample:
    return Sample({"said": np.array(texts, dtype=object)}, fields={"said": Field(kind)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("damage", "mends"),
    [
        ("unicode:form=full_width", "nfkc"),
        ("unicode:form=nfd", "nfkc"),
        ("unicode:form=zero_width", "invisible"),
        ("unicode:form=bidi", "invisible"),
        ("unicode:form=soft_hyphen", "invisible"),
        ("unicode:form=homoglyph", "homoglyphs"),
        ("paste:form=newline", "whitespace"),
        ("paste:form=nbsp", "whitespace"),
        ("paste:form=html", "markup"),
        ("paste:form=signature", "markup"),
        ("spacing:form=doubled", "whitespace"),
    ],
)
def test_a_repair_undoes_its_damage_to_the_letter(damage: str, mends: str) -> None:
    clean = sample(*TEXTS * 20, "Zürich" if "nfd" in damage else "yes")
    spoilt = corruption.make(damage)(clean, 1.0, np.random.default_rng(0))
    assert (spoilt.columns["said"] != clean.columns["said"]).any()
    assert repair.make(mends)(spoilt, clean).columns["said"].tolist() == clean.columns["said"].tolist()


@pytest.mark.parametrize("form", ["quote_prefix", "bullets", "table_pipe"])
def test_marks_of_pasting_and_then_their_line_ends_are_undone(form: str) -> None:
    clean = sample(*TEXTS)
    spoilt = corruption.make(f"paste:form={form}")(clean, 1.0, np.random.default_rng(0))
    mended = Whitespace()(repair.make("markup")(spoilt, clean), clean)
    assert mended.columns["said"].tolist() == TEXTS


def test_mojibake_is_undone_but_for_the_curls_of_the_quotes() -> None:
    spoilt = corruption.make("mojibake")(sample(*TEXTS), 1.0, np.random.default_rng(0))
    mended = repair.make("quotes")(repair.make("mojibake")(spoilt, sample(*TEXTS)), sample(*TEXTS))
    assert mended.columns["said"].tolist() == TEXTS


def test_what_is_normal_in_the_lab_is_no_damage() -> None:
    assert Lower()(sample("WHERE"), sample("where is it")).columns["said"].tolist() == ["where"]
    shouting = sample("Where is it", "WHERE")
    assert Lower()(shouting, shouting) is shouting
    assert Lower().plan(shouting) is None


def test_a_category_of_the_lab_is_never_rewritten_however_rare() -> None:
    lab = sample(*["plain"] * 500, "ｗｉｄｅ", kind="category")
    assert Nfkc()(sample("ｗｉｄｅ", kind="category"), lab).columns["said"].tolist() == ["ｗｉｄｅ"]


def test_the_plan_names_the_columns_and_the_steps() -> None:
    assert Nfkc().plan(sample("plain")) == {"tidy": {"columns": ["said"], "steps": ["nfkc"]}}
