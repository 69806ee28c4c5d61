"""The laws run every corruption by its defaults; here they run the other forms of those that spoil text."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.mix import CAUSES
from roadworthy.testing.corruptions import check_corruption, mixed_sample

FORMED = (
    "typo",
    "incomplete",
    "paste",
    "unicode",
    "mojibake",
    "letter_case",
    "spacing",
    "number_locale",
    "punctuation",
)
PLANS = sorted({cause.plan for cause in CAUSES if ":" in cause.plan})


def forms(name: str) -> list[str]:
    hint = get_type_hints(corruption.get(name))["form"]
    return [form for part in get_args(hint) for form in (get_args(part) or (part,))]


@pytest.mark.parametrize("plan", [f"{name}:form={form}" for name in FORMED for form in forms(name)])
def test_every_form_obeys_the_laws(plan: str) -> None:
    made = corruption.make(plan)

    class OfThisForm:
        @staticmethod
        def example() -> tuple[object, Sample]:
            return made, mixed_sample()

    check_corruption(OfThisForm)


@pytest.mark.parametrize("plan", PLANS)
def test_every_cause_of_the_mix_can_be_made(plan: str) -> None:
    assert corruption.make(plan)


@pytest.mark.parametrize("name", [*FORMED, "ocr", "speech", "mixed_language"])
def test_each_says_whether_the_label_still_holds(name: str) -> None:
    assert corruption.get(name).label_preserving is (name != "incomplete")  # type: ignore[attr-defined]
