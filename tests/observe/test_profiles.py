from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import Missing
from roadworthy.core.profile import MOST_ROWS, Reference
from roadworthy.core.window import Window
from roadworthy.observe.detectors.drift import Drift
from roadworthy.observe.profiles import keep_profile, profiled, reference_of
from roadworthy.store.state import State

RELEASE = "5b" * 32


def window(n: int, seed: int = 0) -> Window:
    rng = np.random.default_rng(seed)
    inputs = {
        "x": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
        "carrier": rng.choice(np.array(["AA", "UA", None], object), n),
        "vector": rng.normal(size=(n, 4)),
    }
    tags = {"origin": rng.choice(np.array(["JFK", ""], object), n)}
    ids = np.array([f"{k:032x}" for k in range(n)], object)
    p, labels = rng.uniform(size=n), np.where(rng.random(n) < 0.5, np.nan, 1.0)
    return Window(inputs, {"p": p}, labels, np.arange(float(n)), tags, ids, p, np.full(n, np.nan))


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / "state", "process") as state:
        yield state


def same(one, other) -> bool:
    if one.dtype == object:
        return one.tolist() == other.tolist()
    return np.array_equal(one, other, equal_nan=True)


def test_a_reference_comes_back_as_it_was_kept(state):
    reference = Reference.of(window(500))
    keep_profile(state, RELEASE, reference, at=1.0)
    found = reference_of(state, RELEASE)
    assert found.profile == reference.profile
    for name, values in {**reference.inputs, **reference.outputs, **reference.tags}.items():
        assert same({**found.inputs, **found.outputs, **found.tags}[name], values)
    for name in ("labels", "at", "ids", "confidence", "known_at"):
        assert same(getattr(found, name), getattr(reference, name))


def test_what_comes_back_can_be_compared_and_written_to(state):
    keep_profile(state, RELEASE, Reference.of(window(500)), at=1.0)
    found = reference_of(state, RELEASE)
    assert Drift()(found, window(500, 1)).decision == "pass"
    found.labels[0] = 0.0


def test_at_most_so_many_rows_are_kept_and_the_profile_of_all(state):
    rows = window(5000)
    keep_profile(state, RELEASE, Reference.of(rows, most_rows=5000), at=1.0)
    found = reference_of(state, RELEASE)
    assert (found.n, found.profile.n) == (MOST_ROWS, 5000)
    assert set(found.ids) <= set(rows.ids)


def test_it_is_kept_instead_of_what_was_kept_before(state):
    keep_profile(state, RELEASE, Reference.of(window(100)), at=1.0)
    keep_profile(state, RELEASE, Reference.of(window(200)), at=2.0)
    keep_profile(state, "aa" * 32, Reference.of(window(50)), at=3.0)
    assert reference_of(state, RELEASE).profile.n == 200
    assert profiled(state) == ["aa" * 32, RELEASE]


def test_a_release_without_a_profile_says_what_to_do(state):
    with pytest.raises(Missing, match=r"no reference profile of release `5b5b5b5b5b5b` is kept.*roadworthy drift"):
        reference_of(state, RELEASE)


def test_a_window_without_the_optional_columns_is_kept_too(state):
    plain = Window({"x": np.arange(60.0)}, {}, np.full(60, np.nan), np.zeros(60))
    keep_profile(state, RELEASE, Reference.of(plain), at=1.0)
    found = reference_of(state, RELEASE)
    assert (found.ids, found.confidence, dict(found.tags)) == (None, None, {})
