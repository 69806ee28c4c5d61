"""The laws of edges: each case has a name of its own, rows that fit the sample, and chance as an argument."""

from __future__ import annotations

import copy
from typing import get_args, get_type_hints

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import Case, Edge
from roadworthy.testing.corruptions import mixed_sample
from roadworthy.testing.leaves import check_no_global_chance, differing, example_of

RIGHT = get_args(get_type_hints(Case)["right"])


def check_edge(leaf: type) -> None:
    """Run every law on an edge class, made by `example()` or by its defaults on a sample of every kind of column.

    `@classmethod def example(cls) -> tuple[Edge, Sample]` is for a leaf whose settings have no defaults, or that makes
    no cases of `mixed_sample`. Raises AssertionError with the law that is broken.
    """
    made, sample = example_of(leaf, lambda: (leaf(), mixed_sample()), "an edge and a sample for it to make cases of")
    check_pure(made, sample)  # first: who writes the same twice is only seen the first time
    check_cases(made, sample)
    check_rows(made, sample)
    check_same_seed(made, sample)
    check_no_global_chance(made, lambda: cases(made, sample))
    check_foreign_sample(made)


def cases(made: Edge, sample: Sample, seed: int = 0) -> list[Case]:
    """All cases that the edge makes of the sample."""
    return list(made(sample, np.random.default_rng(seed)))


def check_cases(made: Edge, sample: Sample) -> None:
    """There are cases, each with a name of its own that is safe to print, and with a word on what is right."""
    found = cases(made, sample)
    assert found, f"{made!r} makes no case of a sample that has every kind of column"
    names = [case.name for case in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"{made!r} has several cases named {twice[0]!r}; a report tells them apart by name"
    odd = [name for name in names if not name.strip() or not name.isprintable()]
    assert not odd, (
        f"{made!r} has a case named {odd[0]!r}; the odd text belongs in the rows, a plain name in the report"
    )
    wrong = [case for case in found if case.right not in RIGHT]
    assert not wrong, (
        f"{made!r} says that {wrong[0].right!r} is right for {wrong[0].name!r}; allowed: {', '.join(RIGHT)}"
    )


def check_rows(made: Edge, sample: Sample) -> None:
    """A case has columns of the sample only, all of one length, and knows what they are."""
    for case in cases(made, sample):
        unknown = set(case.rows.columns) - set(sample.columns)
        assert not unknown, f"{made!r} invents the column {min(unknown)!r} in {case.name!r}"
        lengths = {len(values) for values in case.rows.columns.values()}
        assert len(lengths) < 2, f"{made!r} makes columns of {sorted(lengths)} rows in {case.name!r}"
        assert case.rows.fields == sample.fields, f"{made!r} loses or changes what the columns are in {case.name!r}"


def check_pure(made: Edge, sample: Sample) -> None:
    """The sample that is given is not written into: its rows are the ordinary ones that harm is measured on."""
    before = copy.deepcopy(sample)
    cases(made, sample)
    changed = differing(before.columns, sample.columns)
    assert not changed, f"{made!r} writes into the sample that it was given, in {', '.join(changed)}"


def check_same_seed(made: Edge, sample: Sample) -> None:
    """The same seed makes the same cases, so that a crash can be made to happen again."""
    first, again = cases(made, sample, 5), cases(made, sample, 5)
    assert [c.name for c in first] == [c.name for c in again], f"{made!r} makes other cases for the same seed"
    for one, other in zip(first, again, strict=True):
        assert not differing(one.rows.columns, other.rows.columns), (
            f"{made!r} makes two versions of {one.name!r} for one seed"
        )


def check_foreign_sample(made: Edge) -> None:
    """A sample without rows makes no cases, and one with other columns makes none that fail to be made."""
    empty = mixed_sample().take(slice(0, 0))
    for sample, most in ((Sample({}), 0), (empty, 0), (Sample({"some other": np.array([1.0])}), 10_000)):
        try:
            found = cases(made, sample)
        except Exception as wrong:
            told = f"a sample of {sample.n} rows with columns {list(sample.columns)}"
            raise AssertionError(f"{made!r} fails on {told}: {wrong!r}") from wrong
        assert len(found) <= most, f"{made!r} makes {len(found)} cases of a sample without rows"
