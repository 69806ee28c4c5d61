"""The laws of corruptions: severity 0 changes nothing, chance is an argument, and only the inputs are spoilt."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.base import Corruption

SEVERITIES = (0.0, 0.3, 1.0)
SENTENCE = (
    "please why was my card declined when I tried to transfer 1,250.50 pounds, and how \u201csoon\u201d can I get "
    "cash from the nearest machine in Zürich on 5 March? It isn't the first time it happened"
)


def check_corruption(leaf: type) -> None:
    """Run every law on a corruption class, made by `example()` or by its defaults on a sample of every kind of column.

    `@classmethod def example(cls) -> tuple[Corruption, Sample]` is for a leaf whose settings have no defaults, or that
    spoils columns which `mixed_sample` has not. Raises AssertionError with the law that is broken.
    """
    made, sample = example_of(leaf)
    check_pure(made, sample)
    check_identity(made, sample)
    check_same_seed(made, sample)
    check_only_inputs(made, sample)
    check_no_global_chance(made, sample)
    check_spoils(made, sample)
    check_foreign_sample(made)


def example_of(leaf: type) -> tuple[Corruption, Sample]:
    """A corruption of the class and a sample that it spoils."""
    given = getattr(leaf, "example", None)
    if given is not None:
        made, sample = given()
        return made, sample
    try:
        return leaf(), mixed_sample()
    except TypeError as wrong:
        raise AssertionError(
            f"{leaf.__name__} cannot be made by its defaults ({wrong}): add `@classmethod def example(cls)` "
            f"that returns a corruption and a sample for it to spoil"
        ) from wrong


def mixed_sample(n: int = 120, seed: int = 0) -> Sample:
    """Numbers, nulls, categories, sentences and images, with labels, times, ids and a tag.

    Rows come every half hour, out of order; images are of 8 x 8 grey pixels.
    """
    rng = np.random.default_rng(seed)
    at: NDArray[np.float64] = (1_700_000_000 + 1800 * rng.permutation(n)).astype(np.float64)
    holes = np.where(rng.random(n) < 0.1, np.nan, rng.normal(10, 3, n))
    town = rng.choice(np.array(["north", "south", None], dtype=object), n)
    said = np.array([" ".join(rng.choice(SENTENCE.split(), rng.integers(6, 20))) for _ in range(n)], dtype=object)
    seen = np.rint(rng.uniform(0, 255, (n, 1)) * rng.random((n, 64)))
    return Sample(
        {"heat": rng.normal(60, 15, n), "holes": holes, "town": town, "said": said, "seen": seen},
        labels=(rng.random(n) < 0.3).astype(np.float64),
        at=at,
        known_at=np.asarray(at + 7200.0, np.float64),
        ids=np.array([f"row-{k}" for k in range(n)], dtype=object),
        tags={"ward": rng.choice(np.array(["a", "b"], dtype=object), n)},
        source="law",
        digest="0" * 64,
        fields={
            "heat": Field(),
            "holes": Field(nullable=True),
            "town": Field("category", nullable=True, values=("north", "south")),
            "said": Field("text"),
            "seen": Field("image", shape=(8, 8)),
        },
    )


def check_identity(made: Corruption, sample: Sample) -> None:
    """Severity 0 is the sample as it came."""
    spoilt = made(sample, 0.0, np.random.default_rng(1))
    assert list(spoilt.columns) == list(sample.columns), f"{made!r} adds, drops or reorders columns at severity 0"
    changed = _differing(sample.columns, spoilt.columns)
    assert not changed, f"{made!r} at severity 0 changes {', '.join(changed)}; it must change nothing"


def check_same_seed(made: Corruption, sample: Sample) -> None:
    """The same seed spoils the same rows in the same way."""
    for severity in SEVERITIES:
        first, again = (made(sample, severity, np.random.default_rng(5)) for _ in range(2))
        changed = _differing(first.columns, again.columns)
        assert not changed, f"{made!r} gives two results in {', '.join(changed)} for one seed at severity {severity:g}"


def check_only_inputs(made: Corruption, sample: Sample) -> None:
    """Labels, times, ids and tags stay, every column keeps its rows, and no column comes or goes."""
    for severity in SEVERITIES:
        spoilt = made(sample, severity, np.random.default_rng(2))
        assert set(spoilt.columns) == set(sample.columns), f"{made!r} adds or drops columns; null them instead"
        for name, column in spoilt.columns.items():
            assert len(column) == sample.n, f"{made!r} makes {len(column)} rows of {sample.n} in {name!r}"
        changed = _differing(_around(sample), _around(spoilt))
        assert not changed, f"{made!r} changes {', '.join(changed)}; a corruption spoils the inputs only"


def check_pure(made: Corruption, sample: Sample) -> None:
    """The sample that is given is not written into: the clean rows are still needed for the comparison."""
    before = copy.deepcopy(sample)
    for severity in SEVERITIES:
        made(sample, severity, np.random.default_rng(3))
        changed = _differing({**before.columns, **_around(before)}, {**sample.columns, **_around(sample)})
        assert not changed, f"{made!r} writes into the sample that it was given, in {', '.join(changed)}"


def check_no_global_chance(made: Corruption, sample: Sample) -> None:
    """Nothing is drawn from the generators that the whole process shares."""
    states = random.getstate(), np.random.get_state()
    try:
        # A state of our own: a leaf that seeds the shared generator would else leave the state that it found.
        random.seed("law")
        np.random.seed(8191)
        before = random.getstate(), repr(np.random.get_state())
        made(sample, 1.0, np.random.default_rng(4))
        assert random.getstate() == before[0], f"{made!r} draws from `random`; take chance from the `rng` it is given"
        drawn = repr(np.random.get_state()) != before[1]
        assert not drawn, f"{made!r} draws from `numpy.random`; take chance from the `rng` it is given"
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def check_spoils(made: Corruption, sample: Sample) -> None:
    """At severity 1 something is spoilt on the sample that it can spoil."""
    spoilt = made(sample, 1.0, np.random.default_rng(6))
    assert _differing(sample.columns, spoilt.columns), f"{made!r} spoils nothing at severity 1"


def check_foreign_sample(made: Corruption) -> None:
    """A sample without rows, or without its columns, comes back as it was."""
    rows, none = np.array([1.0, 2.0]), np.empty(0)
    for sample in (Sample({}), Sample({"heat": none, "town": none.astype(object)}), Sample({"some other": rows})):
        try:
            spoilt = made(sample, 1.0, np.random.default_rng(7))
        except Exception as wrong:
            raise AssertionError(
                f"{made!r} fails on a sample with columns {list(sample.columns)}: {wrong!r}"
            ) from wrong
        assert spoilt.n == sample.n, f"{made!r} makes {spoilt.n} rows of {sample.n}"


def _around(sample: Sample) -> dict[str, NDArray[Any] | None]:
    tags: Mapping[str, NDArray[Any]] = {f"tag {name}": values for name, values in sample.tags.items()}
    return {"labels": sample.labels, "at": sample.at, "known_at": sample.known_at, "ids": sample.ids, **tags}


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [name for name in one if name not in other or not _equal(one[name], other[name])]


def _equal(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    if one is None or other is None:
        return one is other
    same: Any = (one == other) | ((one != one) & (other != other)) if len(one) == len(other) else False
    return one.dtype == other.dtype and bool(np.all(same))
