"""The laws of corruptions: severity 0 changes nothing, chance is an argument, and only the inputs are spoilt."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.base import Corruption
from roadworthy.testing.leaves import around, check_no_global_chance, differing, example_of

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
    made, sample = example_of(leaf, lambda: (leaf(), mixed_sample()), "a corruption and a sample for it to spoil")
    check_pure(made, sample)
    check_identity(made, sample)
    check_same_seed(made, sample)
    check_only_inputs(made, sample)
    check_no_global_chance(made, lambda: made(sample, 1.0, np.random.default_rng(4)))
    check_spoils(made, sample)
    check_foreign_sample(made)


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
    changed = differing(sample.columns, spoilt.columns)
    assert not changed, f"{made!r} at severity 0 changes {', '.join(changed)}; it must change nothing"


def check_same_seed(made: Corruption, sample: Sample) -> None:
    """The same seed spoils the same rows in the same way."""
    for severity in SEVERITIES:
        first, again = (made(sample, severity, np.random.default_rng(5)) for _ in range(2))
        changed = differing(first.columns, again.columns)
        assert not changed, f"{made!r} gives two results in {', '.join(changed)} for one seed at severity {severity:g}"


def check_only_inputs(made: Corruption, sample: Sample) -> None:
    """Labels, times, ids and tags stay, every column keeps its rows, and no column comes or goes."""
    for severity in SEVERITIES:
        spoilt = made(sample, severity, np.random.default_rng(2))
        assert set(spoilt.columns) == set(sample.columns), f"{made!r} adds or drops columns; null them instead"
        for name, column in spoilt.columns.items():
            assert len(column) == sample.n, f"{made!r} makes {len(column)} rows of {sample.n} in {name!r}"
        changed = differing(around(sample), around(spoilt))
        assert not changed, f"{made!r} changes {', '.join(changed)}; a corruption spoils the inputs only"


def check_pure(made: Corruption, sample: Sample) -> None:
    """The sample that is given is not written into: the clean rows are still needed for the comparison."""
    before = copy.deepcopy(sample)
    for severity in SEVERITIES:
        made(sample, severity, np.random.default_rng(3))
        changed = differing({**before.columns, **around(before)}, {**sample.columns, **around(sample)})
        assert not changed, f"{made!r} writes into the sample that it was given, in {', '.join(changed)}"


def check_spoils(made: Corruption, sample: Sample) -> None:
    """At severity 1 something is spoilt on the sample that it can spoil."""
    spoilt = made(sample, 1.0, np.random.default_rng(6))
    assert differing(sample.columns, spoilt.columns), f"{made!r} spoils nothing at severity 1"


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
