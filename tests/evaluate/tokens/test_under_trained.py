from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.evaluate.tokens.under_trained import UnderTrained, under_trained

UNUSED = range(4980, 5000)


def embeddings(
    planted: NDArray[Any], seed: int = 0, n: int = 5000, d: int = 64, dtype: Any = np.float64
) -> NDArray[Any]:
    """Rows as training leaves them: all share a component, and those never predicted were pushed the same way."""
    rng = np.random.default_rng(seed)
    shared, pushed = rng.normal(size=d), rng.normal(size=d)
    rows = rng.normal(size=(n, d)) + 3 * shared
    for never in (planted, np.array(UNUSED)):
        rows[never] = 3 * shared + pushed + 0.2 * rng.normal(size=(len(never), d))
    return rows.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_planted_rows_are_all_found_and_hardly_any_other(dtype: Any) -> None:
    planted = np.random.default_rng(1).choice(4980, 15, replace=False)
    found = under_trained(embeddings(planted, dtype=dtype), UNUSED)
    assert {s.id for s in found.suspects} >= set(planted.tolist())
    assert len(found.suspects) <= 16
    assert {s.id for s in found.suspects[:15]} == set(planted.tolist())
    assert found.measured.value == len(found.suspects) / 4980
    assert found.measured.n == 4980


def test_a_model_without_such_rows_is_left_in_peace() -> None:
    named = [len(under_trained(embeddings(np.array([], int), seed), UNUSED).suspects) for seed in range(20)]
    assert sum(n > 0 for n in named) <= 2  # alpha is 1 % of all models


def test_what_all_rows_share_does_not_hide_them() -> None:
    planted = np.arange(10)
    rows = embeddings(planted)
    each = np.random.default_rng(2).uniform(0, 20, (len(rows), 1))
    moved = rows + each * rows.mean(axis=0)
    assert {s.id for s in under_trained(moved, UNUSED).suspects} >= set(planted.tolist())


def test_half_of_the_norm_or_ten_times_it_makes_no_difference() -> None:
    planted = np.arange(10)
    one, other = (under_trained(scale * embeddings(planted), UNUSED).suspects for scale in (0.01, 100.0))
    assert [s.id for s in one] == [s.id for s in other]


def test_a_row_of_zeros_was_never_trained() -> None:
    rows = embeddings(np.array([], int))
    rows[7] = 0.0
    assert 7 in [s.id for s in under_trained(rows, UNUSED).suspects]


def test_suspects_come_nearest_first_and_go_to_json_and_back() -> None:
    found = under_trained(embeddings(np.arange(10)), UNUSED)
    distances = [s.distance for s in found.suspects]
    assert distances == sorted(distances)
    assert max(s.z for s in found.suspects) < found.measured.conditions["z_below"] < -3
    assert msgspec.json.decode(msgspec.json.encode(found), type=UnderTrained) == found


@pytest.mark.parametrize(
    ("matrix", "unused", "because"),
    [
        (np.zeros(5), [0, 1], "are a matrix"),
        (np.eye(5), [], "name at least two"),
        (np.eye(5), [3, 3], "name at least two"),
        (np.eye(5), [0, 1, 2, 3], "leave at least two to judge"),
        (np.eye(5), [0, 5], "must be from 0 to 4, got 0 to 5"),
        (np.eye(5), [-1, 2], "must be from 0 to 4, got -1 to 2"),
        (np.diag([1.0, np.nan, 1, 1, 1]), [3, 4], "of token 1 is not finite"),
    ],
)
def test_what_cannot_be_judged_is_refused(matrix: NDArray[Any], unused: list[int], because: str) -> None:
    with pytest.raises(BadData, match=because):
        under_trained(matrix, unused)
