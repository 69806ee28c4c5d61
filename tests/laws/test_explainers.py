"""Every explainer in the catalog obeys the laws, and the laws see through explainers that do not."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from roadworthy.core.catalog import write_plan
from roadworthy.observe.base import explainer
from roadworthy.observe.explainers.linear import Linear
from roadworthy.testing.explainers import check_explainer


@pytest.mark.parametrize("name", list(explainer))
def test_the_laws_hold(name):
    check_explainer(explainer.get(name))


@pytest.mark.parametrize("name", list(explainer))
def test_a_plan_makes_the_same_explainer_again(name):
    made = explainer.make(name)
    assert explainer.make(write_plan(made)) == made


@dataclass(frozen=True)
class Changed:
    """An explainer whose parts somebody has tampered with."""

    def __call__(self, model, row, background, rng):
        found = Linear()(model, row, background, rng)
        return None if found is None else self.tampered(found)

    def tampered(self, found):
        return found


class Louder(Changed):
    def tampered(self, found):
        return replace(found, parts=tuple(replace(part, value=2 * part.value) for part in found.parts))


class Swapped(Changed):
    def tampered(self, found):
        first, second, *others = found.parts
        parts = (replace(first, value=second.value), replace(second, value=first.value), *others)
        return replace(found, parts=parts)


class Generous(Changed):
    def tampered(self, found):
        names = {"a": 0.0, "unused": next(p.value for p in found.parts if p.where == "a")}
        return replace(found, parts=tuple(replace(p, value=names.get(p.where, p.value)) for p in found.parts))


class Refusing(Changed):
    def __call__(self, model, row, background, rng):
        return None


@pytest.mark.parametrize(
    ("leaf", "told"),
    [
        (Louder, "the parts make"),
        (Swapped, "Shapley value"),
        (Generous, "changes nothing"),
        (Refusing, "explains neither"),
    ],
)
def test_a_faulty_explainer_is_seen_through(leaf, told):
    with pytest.raises(AssertionError, match=told):
        check_explainer(leaf)


def test_an_honest_explainer_passes():
    check_explainer(Changed)
